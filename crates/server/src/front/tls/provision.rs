//! Provides the folder with a certificate that is valid now, unless the operator has put one there.

use std::time::SystemTime;

use rcgen::KeyPair;
use tracing::{info, warn};

use super::authority::{self, DAY};
use super::folder::{AUTHORITY, CERTIFICATE, Folder, ISSUED, KEY};
use super::issued::{Entry, Issued};
use super::names::normalized;
use super::{advice, legacy};

/// Most names in a certificate.
const MAX_NAMES: usize = 100;

/// The work that the folder needs.
enum Plan {
    /// Change nothing: the files are right, or the operator's.
    Leave,
    /// Publish the authority and the certificate whose turn it is, both from `issued.pem`.
    Publish,
    /// Create an authority; the text says why the old one cannot be used, if there is one.
    Issue(Option<String>),
}

/// Ensures that the folder holds a certificate that is valid now, for the first [`MAX_NAMES`] of
/// `names`. A new one is for `host` too.
///
/// # Errors
/// If the folder cannot be used; the error says what is wrong.
pub(super) fn ensure_certificate(
    folder: &Folder,
    names: &[String],
    host: Option<&str>,
    now: SystemTime,
) -> Result<(), String> {
    let (names, left_out) = names.split_at(names.len().min(MAX_NAMES));
    if let Some(first) = left_out.first() {
        warn!(
            "a certificate holds at most {MAX_NAMES} names; left out are {first} and what follows it in TLS_NAMES"
        );
    }
    if !legacy::is_in(folder) && matches!(plan(folder, names, now)?, Plan::Leave) {
        return Ok(());
    }
    let _lock = folder.lock().map_err(|error| {
        format!("the server cannot write there ({error}): put cert.pem and key.pem there yourself, or let the server's user write")
    })?;
    // Another server may have done the work before the lock was free: plan anew.
    if legacy::is_in(folder) {
        legacy::migrate(folder)?;
    }
    match plan(folder, names, now)? {
        Plan::Leave => Ok(()),
        Plan::Publish => {
            publish(folder, now)?;
            info!("renewed the certificate");
            Ok(())
        }
        Plan::Issue(reason) => {
            issue(folder, names, host, now)?;
            advice::announce(&folder.path(AUTHORITY), reason.as_deref());
            Ok(())
        }
    }
}

/// Whether the server issued the certificate in the folder.
pub(super) fn is_own(folder: &Folder) -> bool {
    let certificate = folder.read(CERTIFICATE).ok().flatten();
    certificate.is_some_and(|pem| issued(folder).is_ok_and(|issued| issued.contains(&pem)))
}

fn plan(folder: &Folder, names: &[String], now: SystemTime) -> Result<Plan, String> {
    let issued = issued(folder)?;
    let (certificate, key) = (folder.read(CERTIFICATE)?, folder.read(KEY)?);
    let is_foreign = certificate.as_ref().is_some_and(|pem| !issued.contains(pem))
        || key.as_ref().is_some_and(|pem| !issued.has_key(pem));
    match (&certificate, &key) {
        (Some(_), Some(_)) if is_foreign => return Ok(Plan::Leave),
        (Some(_), None) if is_foreign => return Err(alone(CERTIFICATE, KEY)),
        (None, Some(_)) if is_foreign => return Err(alone(KEY, CERTIFICATE)),
        _ => {}
    }
    let Some((authority, current)) = issued.current(now) else { return Ok(Plan::Issue(None)) };
    if let Some(reason) = unusable(current, key.as_deref(), names, now) {
        return Ok(Plan::Issue(Some(reason)));
    }
    let is_right = is_published(folder, &issued, authority)?
        && certificate.is_some_and(|pem| pem == current.pem);
    Ok(if is_right { Plan::Leave } else { Plan::Publish })
}

/// Why an issued certificate cannot be used any more. Only a new authority helps then: the private
/// key of the old one was never kept.
fn unusable(
    current: &Entry,
    key: Option<&str>,
    names: &[String],
    now: SystemTime,
) -> Option<String> {
    if !key.is_some_and(|key| current.is_for(key)) {
        return Some(format!("{KEY} is missing"));
    }
    if current.details.not_after <= now + DAY {
        return Some("the old one expires".into());
    }
    let present = &current.details.names;
    if let Some(name) = present.iter().find(|name| !is_usable(name)) {
        let name = proto::escape::plain(name);
        return Some(format!("clients refuse the old one for the name {name}"));
    }
    let missing = names.iter().find(|name| !present.contains(name))?;
    Some(format!("the old one does not permit the name {}", proto::escape::plain(missing)))
}

/// Whether clients accept a certificate with this name. One name that they refuse makes them refuse the
/// whole certificate; earlier versions let such names in.
fn is_usable(name: &str) -> bool {
    normalized(name).is_some_and(|usable| usable.eq_ignore_ascii_case(name))
}

/// Creates an authority, and writes what it signed. After a crash at any of the writes, the next
/// server knows all files as its own, and completes the work.
fn issue(
    folder: &Folder,
    names: &[String],
    host: Option<&str>,
    now: SystemTime,
) -> Result<(), String> {
    let failed = |error: rcgen::Error| format!("cannot create a certificate: {error}");
    let former = issued(folder)?;
    let [old_authority, old_certificate, old_key] =
        [AUTHORITY, CERTIFICATE, KEY].map(|name| folder.read(name).map(Option::unwrap_or_default));
    let (old_authority, old_certificate, old_key) = (old_authority?, old_certificate?, old_key?);
    if !old_authority.is_empty() && !former.contains(&old_authority) {
        return Err(format!("this server did not create {AUTHORITY}: move it elsewhere"));
    }
    // Servers that share a folder may want different names: without those of the certificate before,
    // each would replace the certificate of the other.
    let former = former.current(now).map(|(_, entry)| entry.details.names.as_slice());
    let former = former.unwrap_or_default().iter().filter_map(|name| normalized(name));
    let names = union(names.iter().cloned().chain(host.map(str::to_owned)).chain(former));
    // The key stays: other servers may read it beside the old certificate or the new one.
    let key = if old_key.is_empty() { KeyPair::generate() } else { KeyPair::from_pem(&old_key) };
    let key = key.map_err(failed)?;
    let new = authority::create(host.unwrap_or("server"), &names, &key, now).map_err(failed)?;
    folder.write(ISSUED, &(old_certificate + &old_authority + &new))?;
    if old_key.is_empty() {
        folder.write(KEY, &key.serialize_pem())?;
    }
    publish(folder, now)
}

/// Writes the authority, and the certificate whose turn it is.
fn publish(folder: &Folder, now: SystemTime) -> Result<(), String> {
    let issued = issued(folder)?;
    let (authority, current) =
        issued.current(now).ok_or_else(|| format!("{ISSUED} holds no certificate"))?;
    if !is_published(folder, &issued, authority)? {
        folder.write(AUTHORITY, &authority.pem)?;
    }
    folder.write(CERTIFICATE, &current.pem)
}

/// Whether `ca.pem` is right: the authority, or a file of the operator, which is left alone.
fn is_published(folder: &Folder, issued: &Issued, authority: &Entry) -> Result<bool, String> {
    let pem = folder.read(AUTHORITY)?;
    Ok(pem.is_some_and(|pem| pem == authority.pem || !issued.contains(&pem)))
}

fn issued(folder: &Folder) -> Result<Issued, String> {
    let text = folder.read(ISSUED)?.unwrap_or_default();
    Issued::parse(&text).map_err(|error| format!("{ISSUED} is broken: {error}"))
}

/// The names, each once, at most [`MAX_NAMES`].
fn union(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut names = Vec::new();
    for name in all {
        if !names.contains(&name) && names.len() < MAX_NAMES {
            names.push(name);
        }
    }
    names
}

fn alone(name: &str, missing: &str) -> String {
    format!("it holds {name} without {missing}: put {missing} there, or move {name} elsewhere")
}

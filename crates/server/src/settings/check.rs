//! Checks of settings against each other.

use super::Settings;

impl Settings {
    /// Checks settings, each valid by itself, against each other.
    ///
    /// # Errors
    /// Which settings do not go together, and what is allowed, in one line.
    pub fn check(&self) -> Result<(), String> {
        if self.tls_dir.is_some() && self.tls_listen().overlaps(&self.listen) {
            return Err(format!(
                "TLS_LISTEN (--tls-listen) is \"{}\", but it overlaps with LISTEN (--listen), \"{}\": allowed is another port, since one port speaks either TLS or not",
                self.tls_listen(),
                self.listen
            ));
        }
        if self.default_service.is_probe() && !self.probe {
            return Err(format!(
                "DEFAULT_SERVICE (--default-service) is \"{}\", but PROBE (--probe) is \"off\": allowed is another service, or PROBE=on",
                self.default_service.path()
            ));
        }
        let (workers, max_message) = (self.workers(), self.max_message);
        let least = workers.saturating_mul(max_message);
        match self.max_unfinished {
            Some(bytes) if bytes < least => Err(format!(
                "MAX_UNFINISHED (--max-unfinished) is \"{bytes}\", but allowed is at least {least}: one message of MAX_MESSAGE, {max_message}, for each of the WORKERS, {workers}"
            )),
            _ => Ok(()),
        }
    }

    /// A warning for each setting that does nothing beside the others.
    #[must_use]
    pub fn without_effect(&self) -> Vec<&'static str> {
        let no_tls = self.tls_dir.is_none();
        [
            (
                no_tls && self.tls_listen.is_some(),
                "TLS_LISTEN does nothing without TLS_DIR; set that to a folder to serve wss://",
            ),
            (
                no_tls && self.tls_names.is_some(),
                "TLS_NAMES does nothing without TLS_DIR; set that to a folder to serve wss://",
            ),
            (
                self.log_max_bytes.is_none() && self.log_keep.is_some(),
                "LOG_KEEP does nothing without LOG_MAX_BYTES; set that to the size at which the log is rotated",
            ),
        ]
        .into_iter()
        .filter_map(|(is_idle, warning)| is_idle.then_some(warning))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn settings(args: &[&str]) -> Settings {
        Settings::try_parse_from([&["server", "--workers=2"], args].concat()).unwrap()
    }

    #[test]
    fn one_port_is_not_for_both_ws_and_wss() {
        let both = ["--tls-listen=127.0.0.1:80", "--listen=127.0.0.1:80"];
        assert_eq!(settings(&both).check(), Ok(()));
        let error = settings(&[&both[..], &["--tls-dir=tls"]].concat()).check().unwrap_err();
        assert!(error.starts_with("TLS_LISTEN (--tls-listen) is \"127.0.0.1:80\", but"), "{error}");
        for (tls_listen, listen, overlaps) in [
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("[::]:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("localhost:80", "localhost:80", true),
            ("0.0.0.0:81", "127.0.0.1:80", false),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:0", "0.0.0.0:0", false),
            ("localhost:0", "localhost:0", false),
        ] {
            let both = ["--tls-listen", tls_listen, "--listen", listen, "--tls-dir=tls"];
            let checked = settings(&both).check();
            assert_eq!(checked.is_err(), overlaps, "{tls_listen} {listen}: {checked:?}");
        }
    }

    #[test]
    fn a_service_that_is_off_is_no_default() {
        let probe = "--default-service=/probe";
        assert_eq!(settings(&[probe]).check(), Ok(()));
        assert_eq!(settings(&["--probe=off"]).check(), Ok(()));
        let error = settings(&[probe, "--probe=off"]).check().unwrap_err();
        assert!(
            error.starts_with("DEFAULT_SERVICE (--default-service) is \"/probe\", but"),
            "{error}"
        );
    }

    #[test]
    fn max_unfinished_holds_a_message_for_each_worker() {
        assert_eq!(settings(&["--max-unfinished=128K"]).check(), Ok(()));
        let error = settings(&["--max-unfinished=131071"]).check().unwrap_err();
        assert_eq!(
            error,
            "MAX_UNFINISHED (--max-unfinished) is \"131071\", but allowed is at least 131072: one message of MAX_MESSAGE, 65536, for each of the WORKERS, 2"
        );
        let large = settings(&["--max-message=20M"]);
        assert_eq!((large.check(), large.max_unfinished()), (Ok(()), 40 << 20));
        assert_eq!(settings(&[]).max_unfinished(), 32 << 20);
    }

    #[test]
    fn a_setting_without_effect_is_warned_of() {
        for (args, warned) in [
            (&[][..], &[][..]),
            (&["--tls-listen=[::]:1", "--tls-names=a"], &["TLS_LISTEN", "TLS_NAMES"]),
            (&["--tls-listen=[::]:1", "--tls-names=a", "--tls-dir=tls"], &[]),
            (&["--log-keep=1"], &["LOG_KEEP"]),
            (&["--log-keep=1", "--log-max-bytes=1"], &[]),
        ] {
            let warnings = settings(args).without_effect();
            assert_eq!(warnings.len(), warned.len(), "{args:?}: {warnings:?}");
            assert!(warnings.iter().zip(warned).all(|(text, name)| text.starts_with(name)));
        }
    }
}

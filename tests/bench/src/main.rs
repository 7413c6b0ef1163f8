//! What a ping costs the server in processor time and memory, beside the floor of TCP and beside
//! peers that do the same job. Prints Markdown tables.

mod build;
mod cores;
mod load;
mod machine;
mod measure;
mod parts;
mod process;
mod program;
mod roster;
mod settings;
mod statistics;
mod stop;
mod table;
mod usage;

use std::cell::Cell;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use cores::Cores;
use machine::Machine;
use measure::Bench;
use settings::{Part, Settings};
use stop::Stop;

/// Descriptors that the load and the programs need, each.
const DESCRIPTORS: u64 = 20_000;

fn main() -> ExitCode {
    match run(&Settings::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> Result<()> {
    let stop = Stop::catch()?;
    let cores = Cores::find()?;
    raise_descriptor_limit()?;
    let server = roster::server(settings.server.as_deref(), &stop)?;
    let bench = Bench {
        cores,
        length: settings.length(),
        rounds: settings.rounds,
        stop,
        disturbance: Cell::default(),
    };
    println!("{}\n", Machine::read()?.describe(&bench.cores));
    for part in settings.parts() {
        let report = match part {
            Part::Compare => parts::compare::run(&bench, settings, &server)?,
            Part::Scale => parts::scale::run(&bench, &server)?,
            Part::Secure => parts::secure::run(&bench, &server)?,
            Part::Workers => parts::workers::run(&bench, &server)?,
        };
        println!("{report}");
    }
    if let Some(warning) = bench.warning() {
        println!("{warning}");
    }
    Ok(())
}

/// Takes all descriptors that the system grants, for connections; programs inherit it.
fn raise_descriptor_limit() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("cannot raise the limit of descriptors")?;
    match maximum {
        Some(limit) if limit < DESCRIPTORS => bail!(
            "a process may have {limit} descriptors here (ulimit -Hn), and thousands of connections \
             need {DESCRIPTORS}; raise that limit"
        ),
        _ => Ok(()),
    }
}

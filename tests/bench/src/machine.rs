//! The machine, in one line.

use anyhow::{Context, Result};
use chrono::Local;
use procfs::{CpuInfo, Current};
use rustix::system::uname;

use crate::cores::Cores;

/// The properties of the machine that the figures depend on.
#[derive(Debug)]
pub(crate) struct Machine {
    processor: String,
    kernel: String,
    date: String,
}

impl Machine {
    pub(crate) fn read() -> Result<Self> {
        let processors = CpuInfo::current().context("cannot read /proc/cpuinfo")?;
        let uname = uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        Ok(Self {
            processor: processors.model_name(0).unwrap_or("unknown processor").into(),
            kernel: [uname.sysname(), uname.release(), uname.machine()].map(text).join(" "),
            date: Local::now().format("%d-%m-%Y").to_string(),
        })
    }

    pub(crate) fn describe(&self, cores: &Cores) -> String {
        let Self { processor, kernel, date } = self;
        format!("Machine: {processor}, {}, {kernel}, {date}.", cores.describe())
    }
}

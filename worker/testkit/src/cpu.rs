//! Which CPU a thread runs on. Linux only: elsewhere nothing is pinned.

/// Lets this thread, and the threads and processes it starts from now on, run on one CPU alone.
/// Whether that was done: there may be no such CPU.
pub fn run_on_cpu(cpu: usize) -> bool {
    affinity::set(&affinity::of(cpu))
}

/// Starts something on one CPU, from a thread that stays where it is.
pub(crate) fn start_on<T>(cpu: Option<usize>, start: impl FnOnce() -> T) -> T {
    let Some((cpu, before)) = cpu.zip(affinity::get()) else { return start() };
    run_on_cpu(cpu);
    let started = start();
    affinity::set(&before);
    started
}

#[cfg(target_os = "linux")]
mod affinity {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub(super) fn of(cpu: usize) -> CpuSet {
        let mut set = CpuSet::new();
        if cpu < CpuSet::MAX_CPU {
            set.set(cpu);
        }
        set
    }

    pub(super) fn get() -> Option<CpuSet> {
        sched_getaffinity(None).ok()
    }

    pub(super) fn set(set: &CpuSet) -> bool {
        sched_setaffinity(None, set).is_ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    pub(super) fn of(_: usize) {}

    pub(super) fn get() -> Option<()> {
        None
    }

    pub(super) fn set(_: &()) -> bool {
        false
    }
}

//! `worker_cpu_affinity`: <https://nginx.org/en/docs/ngx_core_module.html#worker_cpu_affinity>

use crate::conf::Args;
use crate::diag::Diagnostic;

/// The most processors that the system's sets have room for.
const MOST: usize = 1024;

/// Which processors threads may run on.
pub(super) enum Affinity {
    /// One of these for each.
    Auto(Vec<usize>),
    /// As written for the first, the second …; the last one for the rest.
    Masks(Vec<Vec<usize>>),
}

impl Affinity {
    pub(super) fn parse(args: &Args<'_>) -> Result<Self, Diagnostic> {
        if args.value(1) != b"auto" {
            return Ok(Self::Masks((1..args.len()).map(|index| mask(args, index)).collect::<Result<_, _>>()?));
        }
        match args.len() {
            2 => Ok(Self::Auto((0..online().min(MOST)).collect())),
            3 => Ok(Self::Auto(mask(args, 2)?)),
            _ => Err(args.wrong_count()),
        }
    }

    /// How many masks were written; 0 for `auto`.
    pub(super) fn masks(&self) -> usize {
        match self {
            Self::Auto(_) => 0,
            Self::Masks(masks) => masks.len(),
        }
    }

    /// The processors of each of so many threads.
    pub(super) fn of_threads(&self, count: usize) -> Vec<Vec<usize>> {
        let of_thread = |number: usize| match self {
            Self::Auto(cpus) if cpus.is_empty() => None,
            Self::Auto(cpus) => Some(vec![cpus[number % cpus.len()]]),
            Self::Masks(masks) => masks.get(number).or(masks.last()).cloned(),
        };
        (0..count).map_while(of_thread).collect()
    }
}

/// The processors that work now.
fn online() -> usize {
    // SAFETY: the call takes a number and gives one.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(count).unwrap_or(1)
}

/// Ones and zeros, the first processor last.
fn mask(args: &Args<'_>, index: usize) -> Result<Vec<usize>, Diagnostic> {
    let fault = |message: String| args.error(index, "invalid-value", message);
    if args.value(index).len() > MOST {
        return Err(fault(format!("\"worker_cpu_affinity\" supports up to {MOST} CPUs only")));
    }
    let mut cpus = Vec::new();
    let digits = args.value(index).iter().rev().filter(|digit| **digit != b' ');
    for (cpu, digit) in digits.enumerate() {
        match digit {
            b'0' => {}
            b'1' => cpus.push(cpu),
            other => {
                let message = format!("invalid character \"{}\" in \"worker_cpu_affinity\"", char::from(*other));
                return Err(fault(message));
            }
        }
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_threads_their_processors() {
        let auto = Affinity::Auto(vec![1, 3]);
        assert_eq!(auto.of_threads(3), [vec![1], vec![3], vec![1]]);
        let masks = Affinity::Masks(vec![vec![0, 2], vec![1]]);
        assert_eq!(masks.of_threads(3), [vec![0, 2], vec![1], vec![1]]);
        assert!(Affinity::Auto(Vec::new()).of_threads(2).is_empty());
    }
}

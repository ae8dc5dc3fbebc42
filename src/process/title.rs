//! The name that `ps` shows: `nginx: master process …`, written over our arguments and environment as nginx does.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

/// The memory that the kernel shows as our command line: arguments, and the environment behind them.
static AREA: OnceLock<Area> = OnceLock::new();

struct Area {
    start: usize,
    len: usize,
}

/// Makes room for titles. Arguments must have been read, and no other thread may run.
///
/// # Safety
/// The process has one thread, and nobody keeps pointers into the environment or the arguments.
pub unsafe fn prepare() {
    let Some(area) = find_area() else { return };
    let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    for (name, value) in variables {
        // SAFETY: one thread. Setting a variable anew moves it out of the memory that titles will use.
        unsafe { std::env::set_var(name, value) };
    }
    AREA.get_or_init(|| area);
}

/// Shows a title; without [`prepare`], or where it does not fit, as much as there is room for.
pub fn set(title: &str) {
    let Some(area) = AREA.get() else { return };
    // SAFETY: the kernel named this range as our arguments and environment; `prepare` moved the environment away and
    // the arguments were copied before, so no reference to these bytes exists.
    let bytes = unsafe { std::slice::from_raw_parts_mut(area.start as *mut u8, area.len) };
    bytes.fill(0);
    let fits = title.len().min(bytes.len() - 1);
    bytes[..fits].copy_from_slice(&title.as_bytes()[..fits]);
}

/// Calls the process `nginx` where it was called by that name: a program that replaces itself by its image's path would
/// lose it otherwise.
pub fn keep_name(argument: &OsStr) {
    if Path::new(argument).file_name().is_some_and(|name| name.as_bytes() == b"nginx")
        && let Ok(name) = CString::new("nginx")
    {
        // A name is a convenience: nothing depends on it here.
        let _ = rustix::thread::set_name(&name);
    }
}

/// The range from the first argument to the last variable: fields 48 to 51 of `/proc/self/stat` (proc(5)).
fn find_area() -> Option<Area> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name in brackets, and may hold anything.
    let fields = stat.rsplit_once(") ")?.1.split(' ').collect::<Vec<_>>();
    let field = |number: usize| fields.get(number - 3)?.parse::<usize>().ok();
    let (arg_start, arg_end, env_start, env_end) = (field(48)?, field(49)?, field(50)?, field(51)?);
    let end = if env_start == arg_end { env_end } else { arg_end };
    (arg_start != 0 && end > arg_start).then(|| Area { start: arg_start, len: end - arg_start })
}

//! `$date_local` and `$date_gmt`: the time in the form that the page asked for.

use std::cell::RefCell;

use bytes::Bytes;

use crate::http::{Request, date};

/// The longest date, in bytes.
const LONGEST: usize = 2048;

/// What a page said of dates with `config timefmt=`; it is forgotten with the page.
#[derive(Default)]
pub(super) struct Form(pub(super) RefCell<Option<Bytes>>);

pub(super) fn local(r: &Request, out: &mut Vec<u8>) -> bool {
    append(r, libc::localtime_r, out)
}

pub(super) fn gmt(r: &Request, out: &mut Vec<u8>) -> bool {
    append(r, libc::gmtime_r, out)
}

type Split = unsafe extern "C" fn(*const libc::time_t, *mut libc::tm) -> *mut libc::tm;

/// Appends the time of now; `false` where the form makes nothing of it.
fn append(r: &Request, split: Split, out: &mut Vec<u8>) -> bool {
    let form = r.find_context::<Form>().and_then(|form| form.0.borrow().clone());
    let form = form.unwrap_or(Bytes::from_static(b"%A, %d-%b-%Y %H:%M:%S %Z"));
    let now = date::now();
    if form == "%s" {
        out.extend_from_slice(itoa::Buffer::new().format(now).as_bytes());
        return true;
    }
    let start = out.len();
    format(now, split, &form, out);
    out.len() > start
}

fn format(time: i64, split: Split, form: &[u8], out: &mut Vec<u8>) {
    // What stands behind a zero byte is not seen, as in C.
    let form: Vec<u8> = form.iter().copied().take_while(|byte| *byte != 0).chain([0]).collect();
    let mut text = [0_u8; LONGEST];
    // SAFETY: `tm` is plain numbers and a pointer that may be null; `split` fills it from a valid time. `form` ends
    // in a zero byte, and `strftime` writes no more than the length it is given.
    let length = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        if split(&raw const time, &raw mut parts).is_null() {
            return;
        }
        libc::strftime(text.as_mut_ptr().cast(), text.len(), form.as_ptr().cast(), &raw const parts)
    };
    out.extend_from_slice(&text[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_dates() {
        let text = |form: &str| {
            let mut out = Vec::new();
            format(1_700_000_000, libc::gmtime_r, form.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text("%A, %d-%b-%Y %H:%M:%S %Z"), "Tuesday, 14-Nov-2023 22:13:20 GMT");
        assert_eq!(text("day %j%%"), "day 318%");
        assert_eq!(text(""), "");
    }
}

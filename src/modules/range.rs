//! Parts of a response: 206 and 416 (RFC 9110 section 14). <https://nginx.org/en/docs/http/ngx_http_core_module.html#max_ranges>

mod body;
mod parse;

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use self::parse::{Parsed, Part};
use crate::conf::{LocationBuilder, Module};
use crate::http::date::parse_http;
use crate::http::{Filter, FilterSlot, HeaderId, Request, Response, Version};

/// `ngx_http_range_header_filter_module` and `ngx_http_range_body_filter_module`: the head is settled behind
/// all other filters, and the body is cut before them, as the content handler made it.
pub struct Range;

impl Module for Range {
    type Conf = ();
    const NAME: &'static str = "http_range_header";

    fn install(_conf: &(), location: &mut LocationBuilder<'_, '_>) {
        location.filter(FilterSlot::RangeBody, Cutter);
        location.filter(FilterSlot::RangeHeader, Ranges);
    }
}

/// What is to be done to the body, once the head is settled.
#[derive(Default)]
struct Plan(RefCell<Option<Cut>>, Cell<Option<Part>>);

/// The one part of the response that the client gets, from its first byte to behind its last one.
pub(super) fn chosen(r: &Request) -> Option<(u64, u64)> {
    let part = r.find_context::<Plan>()?.1.get()?;
    Some((part.start, part.end))
}

/// What remains of a body.
enum Cut {
    One(Part),
    Several(body::Multipart),
}

struct Cutter;

impl Filter for Cutter {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        let may_be_cut = r.is_main() || response.subrequest_ranges;
        if response.status == 200 && may_be_cut && r.headers.borrow().has(HeaderId::Range) {
            let (r, plan, offset) = (r.clone(), r.context::<Plan>(), response.content_offset);
            plan.0.borrow_mut().take();
            plan.1.set(None);
            response.body.wrap(|body| Box::new(body::Planned::new(r, body, plan, offset)));
        }
        Ok(())
    }
}

struct Ranges;

impl Filter for Ranges {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        let max_ranges = r.location().core.max_ranges;
        let Some(length) = response.content_length else { return Ok(()) };
        if r.head.version < Version::HTTP_10
            || response.status != 200
            || !(r.is_main() || response.subrequest_ranges)
            || !(response.allow_ranges || r.out.has_ranges.get())
            || max_ranges == 0
        {
            return Ok(());
        }
        if let Some(main) = &r.main {
            // It is a part of a response that has been ranged already.
            let part = main.find_context::<Plan>().and_then(|plan| plan.1.get());
            *r.context::<Plan>().0.borrow_mut() = part.map(Cut::One);
            return Ok(());
        }
        match wanted(r, response, length, max_ranges) {
            Parsed::Whole => {
                response.headers.push_id(HeaderId::AcceptRanges, b"bytes");
                Ok(())
            }
            Parsed::Unsatisfiable => Err(refuse(r, response, length)),
            Parsed::Parts(parts) => {
                response.status = 206;
                response.status_line = None;
                response.headers.remove(HeaderId::ContentRange);
                response.headers.remove(HeaderId::ContentLength);
                let cut = match parts[..] {
                    [part] => one_part(response, part, length),
                    _ => several_parts(response, &parts, length),
                };
                let plan = r.context::<Plan>();
                if let Cut::One(part) = cut {
                    plan.1.set(Some(part));
                }
                *plan.0.borrow_mut() = Some(cut);
                Ok(())
            }
        }
    }
}

/// What the request asks for, given the response's length in bytes.
fn wanted(r: &Request, response: &Response, length: u64, max_ranges: u64) -> Parsed {
    let headers = r.headers.borrow();
    let Some(range) = headers.get(HeaderId::Range) else { return Parsed::Whole };
    if range.len() < 7 || !range[..6].eq_ignore_ascii_case(b"bytes=") {
        return Parsed::Whole;
    }
    if headers.get(HeaderId::IfRange).is_some_and(|condition| !is_same(response, condition)) {
        return Parsed::Whole;
    }
    parse::parse(&range[6..], length, if response.single_range || r.out.has_ranges.get() { 1 } else { max_ranges })
}

/// `If-Range`: an entity tag, compared to the byte, or a date.
fn is_same(response: &Response, condition: &[u8]) -> bool {
    if condition.len() >= 2 && condition.ends_with(b"\"") {
        return response.headers.get(HeaderId::ETag) == Some(condition);
    }
    response.modified().is_some_and(|modified| parse_http(condition) == Some(modified))
}

/// The page for 416 carries the response's headers, but for those that speak of its content.
fn refuse(r: &Request, response: &mut Response, length: u64) -> u16 {
    let mut headers = std::mem::take(&mut response.headers);
    headers.remove(HeaderId::ContentRange);
    for (id, name, value) in headers.iter() {
        let of_content = [HeaderId::LastModified, HeaderId::AcceptRanges, HeaderId::ContentLength];
        if !of_content.contains(&id) {
            r.out.pending.borrow_mut().push(name, value);
        }
    }
    r.out.pending.borrow_mut().push_id(HeaderId::ContentRange, format!("bytes */{length}").as_bytes());
    416
}

fn one_part(response: &mut Response, part: Part, length: u64) -> Cut {
    let value = format!("bytes {}-{}/{length}", part.start, part.end - 1);
    response.headers.push_id(HeaderId::ContentRange, value.as_bytes());
    response.content_length = Some(part.end - part.start);
    Cut::One(part)
}

/// Boundaries are counted, as nginx counts them.
static BOUNDARY: AtomicU64 = AtomicU64::new(1);

fn several_parts(response: &mut Response, parts: &[Part], length: u64) -> Cut {
    let boundary = format!("{:020}", BOUNDARY.fetch_add(1, Ordering::Relaxed));
    let heads: Vec<Bytes> = parts.iter().map(|part| part_head(response, &boundary, *part, length)).collect();
    let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    let heads_length: usize = heads.iter().map(Bytes::len).sum();
    let parts_length: u64 = parts.iter().map(|part| part.end - part.start).sum();
    response.content_type = Some(format!("multipart/byteranges; boundary={boundary}").into());
    response.charset = None;
    response.content_length = Some((heads_length + end.len()) as u64 + parts_length);
    let pieces = heads.into_iter().zip(parts.iter().copied()).collect();
    Cut::Several(body::Multipart { pieces, end, length })
}

fn part_head(response: &Response, boundary: &str, part: Part, length: u64) -> Bytes {
    let mut head = format!("\r\n--{boundary}\r\n").into_bytes();
    if let Some(content_type) = &response.content_type {
        head.extend_from_slice(b"Content-Type: ");
        head.extend_from_slice(content_type);
        if let Some(charset) = &response.charset {
            head.extend_from_slice(b"; charset=");
            head.extend_from_slice(charset);
        }
        head.extend_from_slice(b"\r\n");
    }
    write!(head, "Content-Range: bytes {}-{}/{length}\r\n\r\n", part.start, part.end - 1)
        .expect("a Vec takes every write");
    head.into()
}

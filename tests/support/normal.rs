//! What differs from run to run becomes a word: times, process ids, connection numbers.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use fancy_regex::Regex;

static RULES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let rule = |pattern: &str, word| (Regex::new(pattern).expect("a fixed pattern"), word);
    vec![
        rule(r"(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\] \d+#\d+: ", "TIME [$1] PID#TID: "),
        rule(r"PID#TID: \*\d+ ", "PID#TID: *N "),
        rule(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", "TIME_LOCAL"),
        rule(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", "TIME_ISO8601"),
        rule(r"(?<!\d)0{8}\d{12}(?!\d)", "BOUNDARY"),
        rule(r"(?<![\w.])1[789]\d{8}\.\d{3}(?![\w.])", "MSEC"),
        rule(r"(?<![\w.])\d+\.\d{3}(?![\w.])", "N.NNN"),
    ]
});

/// `text` with times, `pid#tid` and `*connection` replaced by their names.
pub fn normalise(text: &str) -> String {
    let replace = |text: String, (regex, word): &(Regex, &str)| regex.replace_all(&text, *word).into_owned();
    RULES.iter().fold(text.to_owned(), replace)
}

/// A `Date` value as `DATE` when it is now in the form of RFC 9110 section 5.6.7; otherwise as it is.
pub fn date(value: &str) -> String {
    match parse(value) {
        Some(time) if distance(time, SystemTime::now()) < Duration::from_secs(60) => "DATE".into(),
        _ => value.to_owned(),
    }
}

/// An `Expires` value near the answer's own `Date` as `DATE+seconds`; a fixed one as it is.
pub fn expires(value: &str, date: Option<&str>) -> String {
    const NEAR: Duration = Duration::from_secs(400 * 86400);
    let (Some(at), Some(now)) = (parse(value), date.and_then(parse)) else {
        return value.to_owned();
    };
    match at.duration_since(now) {
        Ok(later) if later < NEAR => format!("DATE+{}", later.as_secs()),
        Err(e) if e.duration() < NEAR => format!("DATE-{}", e.duration().as_secs()),
        _ => value.to_owned(),
    }
}

fn parse(value: &str) -> Option<SystemTime> {
    let time = httpdate::parse_http_date(value).ok()?;
    (httpdate::fmt_http_date(time) == value).then_some(time)
}

fn distance(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|e| e.duration())
}

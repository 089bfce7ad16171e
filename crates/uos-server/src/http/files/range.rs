//! Which part of a file is asked for (RFC 9110, section 14).

use std::ops::Range;

use axum::http::{HeaderMap, header};

/// What a request for a part comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The file from end to end: no part is asked for, or in a way that is not known here, or of another file than this.
    All,
    /// Some bytes of it, at least one.
    Bytes(Range<u64>),
    /// Bytes that it does not have.
    Absent,
}

/// The part asked for, of a file of `size` bytes that `tag` tells from others. Several parts at once are not given: then it
/// is the whole file, as the standard allows.
pub(super) fn asked(headers: &HeaderMap, size: u64, tag: &str) -> Part {
    let mut given = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (given.next(), given.next()) else { return Part::All };
    // Whoever goes on with an older file than this starts again.
    if headers.get(header::IF_RANGE).is_some_and(|known| known.as_bytes() != tag.as_bytes()) {
        return Part::All;
    }
    let spans = range.to_str().ok().and_then(|range| range.trim().strip_prefix("bytes="));
    spans.and_then(|span| part(span.trim(), size)).unwrap_or(Part::All)
}

fn part(span: &str, size: u64) -> Option<Part> {
    let (first, last) = span.split_once('-')?;
    let bytes = match (number(first)?, number(last)?) {
        (None, None) => return None,
        (None, Some(0)) => return Some(Part::Absent),
        (None, Some(count)) => size.saturating_sub(count)..size,
        (Some(first), None) => first..size,
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(size),
    };
    Some(if bytes.is_empty() { Part::Absent } else { Part::Bytes(bytes) })
}

/// A number, `None` for no digits; fails for what is neither. One beyond all files is as good as the greatest.
fn number(digits: &str) -> Option<Option<u64>> {
    if digits.is_empty() {
        return Some(None);
    }
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| Some(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, Part, asked};

    fn of(range: &str, size: u64) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert("range", range.parse().expect("a header"));
        asked(&headers, size, "\"tag\"")
    }

    #[test]
    fn a_part_is_within_the_file() {
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-", 0..10),
            ("bytes=3-5", 3..6),
            ("bytes= 3-5 ", 3..6),
            ("bytes=9-", 9..10),
            ("bytes=5-99999999999999999999999", 5..10),
            ("bytes=0-18446744073709551615", 0..10),
            ("bytes=-3", 7..10),
            ("bytes=-300", 0..10),
        ] {
            assert_eq!(of(range, 10), Part::Bytes(part), "{range}");
        }
        for absent in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of(absent, 10), Part::Absent, "{absent}");
        }
        for empty in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(of(empty, 0), Part::Absent, "{empty}");
        }
    }

    #[test]
    fn what_is_no_single_part_is_the_whole() {
        let odd = ["", "bytes", "bytes=", "bytes=-", "bytes=5-3", "bytes=0-1,3-4", "bytes=a-b", "bytes=+1-2"];
        for range in odd.into_iter().chain(["bytes=1--2", "lines=0-1", "bytes=0x0-1", "bytes=1.5-2"]) {
            assert_eq!(of(range, 10), Part::All, "{range}");
        }
        let mut twice = HeaderMap::new();
        twice.append("range", "bytes=0-1".parse().expect("a header"));
        twice.append("range", "bytes=2-3".parse().expect("a header"));
        assert_eq!(asked(&twice, 10, ""), Part::All);
        assert_eq!(asked(&HeaderMap::new(), 10, ""), Part::All);
    }

    #[test]
    fn a_part_of_another_file_is_the_whole() {
        let mut headers = HeaderMap::new();
        headers.insert("range", "bytes=1-2".parse().expect("a header"));
        headers.insert("if-range", "\"tag\"".parse().expect("a header"));
        assert_eq!(asked(&headers, 10, "\"tag\""), Part::Bytes(1..3));
        assert_eq!(asked(&headers, 10, "\"other\""), Part::All);
    }
}

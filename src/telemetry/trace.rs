//! W3C trace context: the `traceparent` header.
//!
//! Source: W3C Trace Context, level 1, section 3.2.

use http::HeaderMap;

/// A trace that began elsewhere and goes on here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Names the whole trace.
    pub trace_id: [u8; 16],
    /// Names the caller's span.
    pub parent_id: [u8; 8],
    /// Whether the caller records the trace.
    pub sampled: bool,
}

impl TraceParent {
    /// The trace of these headers; `None` if there is none or it is malformed, which means a new trace.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all("traceparent").iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        Self::parse(value.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = bytes::<1>(parts.next()?)?[0];
        let trace_id = bytes::<16>(parts.next()?)?;
        let parent_id = bytes::<8>(parts.next()?)?;
        let flags = bytes::<1>(parts.next()?)?[0];
        // Later versions may carry more; version 0 may not, and 255 is never valid.
        let well_formed = version != 0xff && (version != 0 || parts.next().is_none());
        let named = trace_id != [0; 16] && parent_id != [0; 8];
        (well_formed && named).then_some(Self { trace_id, parent_id, sampled: flags & 1 == 1 })
    }
}

/// Lower-case hexadecimal digits only, as the text demands.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_well_formed_parent_is_taken() {
        let parent = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(parent.trace_id[..2], [0x0a, 0xf7]);
        assert!(parent.sampled);
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
        assert!(TraceParent::parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more").is_some());
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in ".{0,80}") {
            let _ = TraceParent::parse(&text);
        }
    }
}

//! Headers of changes: of the CloudEvents Kafka binding in binary mode, and our own, which consumers can filter on
//! without decoding.
//!
//! Their order is part of the record, so what is the same in every change stands in three fragments, with the id of the
//! change between the first two and its time after the second.

use crate::event::{Digits, Instant, IsoText};
use crate::kafka::{push_header, push_header_name};
use crate::lane::output::change_id::ChangeId;
use crate::lane::output::origin::Origin;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Entered,
    Exited,
    Risk,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Entered, Self::Exited, Self::Risk];

    /// The header `ce_type`.
    fn name(self) -> &'static str {
        match self {
            Self::Entered => "cohortd.cohort.entered.v1",
            Self::Exited => "cohortd.cohort.exited.v1",
            Self::Risk => "cohortd.churn_risk.changed.v1",
        }
    }
}

/// Headers that are the same in every change, encoded once.
pub(super) struct Fragments {
    /// Up to the id.
    specversion: Vec<u8>,
    /// From the id to the time, by kind.
    kinds: [Vec<u8>; Kind::ALL.len()],
    /// The name of the time, where it is as long as usual.
    time: Vec<u8>,
    /// After the time.
    content_type: Vec<u8>,
}

impl Fragments {
    /// `source` is the header `ce_source`.
    pub(super) fn new(source: &str) -> Self {
        let (mut specversion, mut time, mut content_type) = (Vec::new(), Vec::new(), Vec::new());
        push_header(&mut specversion, b"ce_specversion", b"1.0");
        push_header_name(&mut specversion, b"ce_id", ChangeId::LENGTH);
        push_header_name(&mut time, b"ce_time", IsoText::LENGTH);
        push_header(&mut content_type, b"content-type", b"application/avro");
        let of_kind = |kind: Kind| {
            let mut headers = Vec::new();
            push_header(&mut headers, b"ce_type", kind.name().as_bytes());
            push_header(&mut headers, b"ce_source", source.as_bytes());
            headers
        };
        Self { specversion, kinds: Kind::ALL.map(of_kind), time, content_type }
    }

    /// Appends the headers of a change. `subject` is the one that names the cohort or the level.
    pub(super) fn write_headers(
        &self,
        kind: Kind,
        id: &ChangeId,
        at: Instant,
        subject: (&[u8], &str),
        place: &Origin<'_>,
        headers: &mut Vec<u8>,
    ) {
        headers.extend_from_slice(&self.specversion);
        headers.extend_from_slice(id.as_bytes());
        headers.extend_from_slice(&self.kinds[kind as usize]);
        match at.iso() {
            Some(time) => {
                headers.extend_from_slice(&self.time);
                headers.extend_from_slice(time.as_bytes());
            }
            None => push_header(headers, b"ce_time", at.to_string().as_bytes()),
        }
        headers.extend_from_slice(&self.content_type);
        push_header(headers, subject.0, subject.1.as_bytes());
        push_header(headers, b"cohortd_position", Digits::of(place.position).as_bytes());
        push_header(headers, b"cohortd_stream_time", Digits::of(place.stream_time.0).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{Fragments, Kind};
    use crate::event::Instant;
    use crate::kafka::Headers;
    use crate::lane::output::change_id::ChangeId;
    use crate::lane::output::origin::Origin;

    #[test]
    fn a_change_has_these_headers_in_this_order() {
        let place = Origin { input: "events", partition: 0, position: 42, stream_time: Instant(-7), source: None };
        let of = |kind, at, subject| {
            let mut headers = Vec::new();
            let id = ChangeId::of("c1", "vip", "ENTERED", at, 0);
            Fragments::new("/cohortd/shop").write_headers(kind, &id, at, subject, &place, &mut headers);
            let text = |part: &[u8]| String::from_utf8(part.to_vec()).unwrap();
            let headers: Vec<String> =
                Headers::read(&headers).iter().map(|(name, value)| text(name) + "=" + &text(value)).collect();
            (headers, id.as_str().to_owned())
        };
        let at = Instant(1_767_603_600_120);
        let (headers, id) = of(Kind::Entered, at, (b"cohort", "vip"));
        let expected = [
            "ce_specversion=1.0".to_owned(),
            format!("ce_id={id}"),
            "ce_type=cohortd.cohort.entered.v1".to_owned(),
            "ce_source=/cohortd/shop".to_owned(),
            "ce_time=2026-01-05T09:00:00.120Z".to_owned(),
            "content-type=application/avro".to_owned(),
            "cohort=vip".to_owned(),
            "cohortd_position=42".to_owned(),
            "cohortd_stream_time=-7".to_owned(),
        ];
        assert_eq!(headers, expected);
        for (kind, name) in [(Kind::Exited, "cohortd.cohort.exited.v1"), (Kind::Risk, "cohortd.churn_risk.changed.v1")]
        {
            assert_eq!(of(kind, at, (b"level", "high")).0[2], format!("ce_type={name}"));
        }
        // Beyond the calendar, and beyond its years of four digits.
        for at in [Instant::MAX, Instant(Instant::LATEST.0 + 1), Instant(Instant::EARLIEST.0 - 1)] {
            assert_eq!(of(Kind::Exited, at, (b"cohort", "vip")).0[4], format!("ce_time={at}"));
        }
    }
}

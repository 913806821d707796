//! Frames on a stream of bytes: whatever the cuts, and whatever the bytes.

#![cfg(all(target_os = "linux", not(loom)))]

use manyhands::process::link::LinkError;
use manyhands::process::link::frames::{Frame, FrameReader, HEADER, Kind, frame, header};
use proptest::prelude::*;
use proptest::sample::Index;

const LIMIT: usize = 300;

/// All frames, and why there are no more.
fn read(pieces: &[&[u8]]) -> (Vec<Frame>, Option<String>, bool) {
    let mut reader = FrameReader::new(LIMIT);
    let mut frames = Vec::new();
    for piece in pieces {
        reader.feed(piece);
        while let Ok(Some(frame)) = reader.next() {
            frames.push(frame);
        }
    }
    let why = match reader.next() {
        Err(LinkError::Torn { why }) => Some(why),
        other => {
            assert_eq!(other.unwrap(), None);
            None
        }
    };
    (frames, why, reader.is_empty())
}

fn cut<'a>(bytes: &'a [u8], at: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = at.iter().map(|index| index.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

const KINDS: [Kind; 8] = {
    use Kind::{Answer, Begun, Down, Hello, Reply, Request, Stop, Up};
    [Hello, Reply, Request, Stop, Begun, Answer, Up, Down]
};

fn a_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(KINDS.to_vec())
}

fn some_frames() -> impl Strategy<Value = Vec<Frame>> {
    let body = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..20),
        (LIMIT - 2..=LIMIT).prop_map(|length| vec![9; length]),
    ];
    let frame = (a_kind(), body).prop_map(|(kind, body)| Frame { kind, body });
    prop::collection::vec(frame, 0..8)
}

/// Bytes that are frames for a while, more or less.
fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    let claim = (any::<u8>(), 0..2 * LIMIT).prop_map(|(kind, length)| {
        let mut claim = header(Kind::Answer, length);
        claim[0] = kind % 11;
        claim.to_vec()
    });
    (some_frames(), prop_oneof![noise, claim]).prop_map(|(frames, rest)| {
        let frames = frames.iter().flat_map(|it| frame(it.kind, &[&it.body]));
        frames.chain(rest).collect()
    })
}

/// The same rules, without any state: for bytes that are all there.
fn expected(mut bytes: &[u8]) -> (Vec<Frame>, bool) {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_at_checked(HEADER) {
        let length = u64::from_le_bytes(header[1..].try_into().unwrap());
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == header[0]);
        let (Some(kind), true) = (kind, length <= LIMIT as u64) else { return (frames, true) };
        let Some((body, rest)) = rest.split_at_checked(usize::try_from(length).unwrap()) else {
            break;
        };
        frames.push(Frame { kind, body: body.to_vec() });
        bytes = rest;
    }
    (frames, false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn frames_come_out_as_they_went_in(
        frames in some_frames(),
        cuts in prop::collection::vec(any::<Index>(), 0..30),
    ) {
        let bytes: Vec<_> = frames.iter().flat_map(|it| frame(it.kind, &[&it.body])).collect();
        prop_assert_eq!(read(&cut(&bytes, &cuts)), (frames, None, true));
    }

    #[test]
    fn whatever_comes_in_is_read_by_the_rules(
        bytes in some_bytes(),
        cuts in prop::collection::vec(any::<Index>(), 0..30),
    ) {
        let (frames, why, _) = read(&cut(&bytes, &cuts));
        let (expected, is_torn) = expected(&bytes);
        prop_assert_eq!((frames, why.is_some()), (expected, is_torn));
    }

    #[test]
    fn noise_is_read_by_the_rules(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cuts in prop::collection::vec(any::<Index>(), 0..30),
    ) {
        let (frames, why, _) = read(&cut(&bytes, &cuts));
        let (expected, is_torn) = expected(&bytes);
        prop_assert_eq!((frames, why.is_some()), (expected, is_torn));
    }
}

#[test]
fn the_end_of_understanding_is_the_end() {
    let mut reader = FrameReader::new(LIMIT);
    reader.feed(&frame(Kind::Begun, &[]));
    reader.feed(&[9; HEADER]);
    reader.feed(&frame(Kind::Begun, &[]));
    assert!(reader.has_next() && !reader.is_empty());
    assert_eq!(reader.next().unwrap().unwrap().kind, Kind::Begun, "what came before still counts");
    for _ in 0..3 {
        let error = reader.next().unwrap_err().to_string();
        assert!(error.contains("the unknown kind 9"), "{error}");
    }
}

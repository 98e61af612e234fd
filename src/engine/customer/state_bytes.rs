//! A customer's state as bytes: the value in `customers` and in the changelog, and what a customer takes in memory between
//! two batches.
//!
//! ```text
//! format │ as_of │ known since │ clock │ flags │ [next deadline] │ [places: n, n × (ranking, number)] │ sequence
//!        │ recent ids: n, n × (time, hash 8)
//!        │ facts: n, n × (number, content by kind)          only those with content
//!        │ memberships: n, n × (number, flags, [times ...]) only those ever entered or disarmed
//!        │ [level of risk │ changes of it │ version of the parameters]
//!        │ [last decided at │ [next level of risk] │ deadlines: n, n × (number, time after the next deadline)]
//! ```
//!
//! Counts and numbers are varints. Facts, cohorts and rankings are numbered as in the rule set whose fingerprint META
//! holds. A time is stored as its difference from another one:
//!
//! | time | from |
//! |---|---|
//! | `known since` | 1970 |
//! | `clock`, `next deadline` | `known since` |
//! | of recent ids | the one before; the first from `known since` |
//! | of facts | `known since` or the one before, as the kind says (`src/fact/`) |
//! | of a membership: first entry, exit, history | `known since` |
//! | of a membership: last entry | its first entry |
//! | `last decided at` | `clock` |
//! | `next level of risk`, `deadlines` | `next deadline` |

use super::deadlines::Deadlines;
use super::membership::{EventCause, Membership, PendingChange};
use super::recent_ids::RecentId;
use super::risk::Risk;
use super::spares::Spares;
use super::standing::RankedValues;
use super::state::CustomerState;
use crate::bytes::{Corrupt, FORMAT, Read, Reader, put_i64, put_instant, put_len, put_number, put_text, put_u64};
use crate::event::{ChangeReason, Instant, Number};
use crate::fact::Fact;
use crate::rules::{CohortIx, Machine, RuleSet};

const HAS_DEADLINE: u8 = 1;
const HAS_PLACES: u8 = 2;
const IS_DECIDED: u8 = 4;
const HAS_RISK: u8 = 8;
const RISK_RISES: u8 = 16;

const MEMBER: u8 = 1;
const DISARMED: u8 = 2;
const EVER_ENTERED: u8 = 4;
const EVER_EXITED: u8 = 8;
const HAS_HISTORY: u8 = 16;
const HAS_PENDING: u8 = 32;
const PENDING_HAS_CAUSE: u8 = 64;

/// Appends a state's bytes.
pub fn encode_state(state: &CustomerState, out: &mut Vec<u8>) {
    out.push(FORMAT);
    put_i64(out, state.as_of);
    put_instant(out, state.known_since, Instant(0));
    let base = state.known_since;
    put_instant(out, state.clock, base);
    let has_deadline = state.next_deadline < Instant::MAX;
    let places = || state.ranked_values.iter().enumerate().filter_map(|(ranking, place)| Some((ranking, (*place)?)));
    let has_places = places().next().is_some();
    let decided_at = state.deadlines.decided_at;
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(has_deadline, HAS_DEADLINE) | flag(has_places, HAS_PLACES);
    let has_risk = state.risk != Risk::default();
    let risk_rises = decided_at.is_some() && state.deadlines.get(Machine::Risk) < Instant::MAX;
    let flags = flags | flag(has_risk, HAS_RISK) | flag(risk_rises, RISK_RISES);
    out.push(flags | flag(decided_at.is_some(), IS_DECIDED));
    if has_deadline {
        put_instant(out, state.next_deadline, base);
    }
    if has_places {
        put_len(out, places().count());
        for (ranking, number) in places() {
            put_len(out, ranking);
            put_number(out, number);
        }
    }
    put_u64(out, state.sequence);
    put_len(out, state.recent.len());
    let mut last = base;
    for id in &state.recent {
        put_instant(out, id.at, last);
        out.extend_from_slice(&id.hash.to_le_bytes());
        last = id.at;
    }
    put_len(out, state.facts.len());
    for (number, fact) in state.facts.iter() {
        put_len(out, number);
        fact.encode(out, base);
    }
    put_len(out, state.memberships.len());
    for (number, membership) in state.memberships.iter() {
        put_len(out, number);
        put_membership(out, membership, base);
    }
    if has_risk {
        out.push(state.risk.level);
        put_u64(out, state.risk.sequence);
        put_u64(out, u64::from(state.risk.parameters_version));
    }
    if let Some(decided_at) = decided_at {
        put_instant(out, decided_at, state.clock);
        put_deadlines(&state.deadlines, state.next_deadline, out);
    }
}

fn put_deadlines(deadlines: &Deadlines, base: Instant, out: &mut Vec<u8>) {
    let rises_at = deadlines.get(Machine::Risk);
    if rises_at < Instant::MAX {
        put_instant(out, rises_at, base);
    }
    put_len(out, deadlines.of_cohorts().count());
    for (cohort, deadline) in deadlines.of_cohorts() {
        put_len(out, usize::from(cohort.0));
        put_instant(out, deadline, base);
    }
}

/// Reads a state's bytes.
///
/// # Errors
/// Bytes that `encode_state` did not write, or not under these rules.
pub fn decode_state(bytes: &[u8], rules: &RuleSet) -> Result<CustomerState, Corrupt> {
    let mut state = CustomerState::new(rules);
    read_state(bytes, rules, &mut state, &mut Spares::default())?;
    Ok(state)
}

/// The same into a state whose memory is used again, together with that of `spares`. On an error `state` is of nobody.
///
/// # Errors
/// As `decode_state`.
pub fn read_state(bytes: &[u8], rules: &RuleSet, state: &mut CustomerState, spares: &mut Spares) -> Read<()> {
    let mut reader = begin(bytes)?;
    state.recycle(spares);
    let Head { as_of, known_since: base, clock, flags, next_deadline } = Head::read(&mut reader)?;
    (state.as_of, state.known_since, state.clock, state.next_deadline) = (as_of, base, clock, next_deadline);
    if state.ranked_values.len() != rules.rankings.len() {
        state.ranked_values = vec![None; rules.rankings.len()].into();
    }
    if flags & HAS_PLACES != 0 {
        read_places(&mut reader, &mut state.ranked_values)?;
    }
    state.sequence = reader.u64("sequence")?;
    let mut last = base;
    let ids = reader.len("recent ids")?;
    // Each id takes nine bytes at least.
    state.recent.reserve(ids.min(bytes.len() / 9));
    for _ in 0..ids {
        let at = reader.instant(last, "recent id")?;
        state.recent.push(RecentId { at, hash: u64::from_le_bytes(reader.array("recent id")?) });
        last = at;
    }
    // Numbers ascend, so that none is read twice, the second time on top of the first.
    let mut next = 0;
    let facts = reader.len("facts")?;
    state.facts.reserve(facts.min(rules.facts.len()));
    for _ in 0..facts {
        let number = reader.u32("fact")? as usize;
        let spec = rules.facts.get(number).filter(|_| number >= next).ok_or(Corrupt("number of a fact"))?;
        let mut fact = spares.take(number).unwrap_or_else(|| Fact::empty(&spec.kind));
        fact.read(&mut reader, &spec.kind, base)?;
        state.facts.push(number, fact);
        next = number + 1;
    }
    next = 0;
    let memberships = reader.len("memberships")?;
    state.memberships.reserve(memberships.min(rules.cohorts.len()));
    for _ in 0..memberships {
        let number = reader.u32("membership")? as usize;
        if number < next || number >= rules.cohorts.len() {
            return Err(Corrupt("number of a cohort"));
        }
        state.memberships.push(number, read_membership(&mut reader, base)?);
        next = number + 1;
    }
    if flags & HAS_RISK != 0 {
        let (level, sequence) = (reader.u8("level of risk")?, reader.u64("changes of risk")?);
        state.risk = Risk { level, sequence, parameters_version: reader.u32("version of the parameters")? };
    }
    if flags & IS_DECIDED != 0 {
        state.deadlines.decided_at = Some(reader.instant(state.clock, "decided at")?);
        read_deadlines(&mut reader, flags, state.next_deadline, rules, &mut state.deadlines)?;
    }
    if reader.is_empty() { Ok(()) } else { Err(Corrupt("end of a state")) }
}

fn read_deadlines(
    reader: &mut Reader<'_>,
    flags: u8,
    base: Instant,
    rules: &RuleSet,
    deadlines: &mut Deadlines,
) -> Read<()> {
    if flags & RISK_RISES != 0 {
        deadlines.push(Machine::Risk, reader.instant(base, "next level of risk")?);
    }
    let count = reader.len("deadlines")?;
    let mut next = 0;
    for _ in 0..count {
        let number = reader.u32("deadline")? as usize;
        if number < next || number >= rules.cohorts.len() {
            return Err(Corrupt("number of a deadline"));
        }
        let cohort = CohortIx(u16::try_from(number).map_err(|_| Corrupt("number of a deadline"))?);
        deadlines.push(Machine::Cohort(cohort), reader.instant(base, "deadline")?);
        next = number + 1;
    }
    Ok(())
}

/// What every state begins with.
struct Head {
    as_of: i64,
    known_since: Instant,
    clock: Instant,
    flags: u8,
    next_deadline: Instant,
}

impl Head {
    fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let as_of = reader.i64("as of")?;
        let known_since = reader.instant(Instant(0), "known since")?;
        let clock = reader.instant(known_since, "clock")?;
        let flags = reader.u8("flags")?;
        let next_deadline =
            if flags & HAS_DEADLINE != 0 { reader.instant(known_since, "next deadline")? } else { Instant::MAX };
        Ok(Self { as_of, known_since, clock, flags, next_deadline })
    }
}

/// A reader of what follows the format.
fn begin(bytes: &[u8]) -> Read<Reader<'_>> {
    let mut reader = Reader::new(bytes);
    if reader.u8("format")? == FORMAT { Ok(reader) } else { Err(Corrupt("format of a state")) }
}

/// The log position after the last input in a state, without reading the rest.
///
/// # Errors
/// Bytes that do not begin as a state's.
pub fn as_of(bytes: &[u8]) -> Result<i64, Corrupt> {
    begin(bytes)?.i64("as of")
}

/// Has no event been applied to the customer yet? Without reading the rest.
///
/// # Errors
/// Bytes that do not begin as a state's.
pub(in crate::engine) fn is_new(bytes: &[u8]) -> Result<bool, Corrupt> {
    Head::read(&mut begin(bytes)?).map(|head| head.known_since == Instant::MAX)
}

/// The next deadline in a state, without reading the rest.
///
/// # Errors
/// Bytes that do not begin as a state's.
pub fn next_deadline(bytes: &[u8]) -> Result<Instant, Corrupt> {
    Head::read(&mut begin(bytes)?).map(|head| head.next_deadline)
}

/// By what a customer is ranked, and their next deadline, without reading the rest of the state.
///
/// # Errors
/// Bytes that do not begin as a state's, or not under these rules.
pub fn places(bytes: &[u8], rankings: usize) -> Result<(RankedValues, Instant), Corrupt> {
    let mut places = vec![None; rankings].into_boxed_slice();
    let mut reader = begin(bytes)?;
    let Head { flags, next_deadline, .. } = Head::read(&mut reader)?;
    if flags & HAS_PLACES != 0 {
        read_places(&mut reader, &mut places)?;
    }
    Ok((places, next_deadline))
}

fn read_places(reader: &mut Reader<'_>, places: &mut [Option<Number>]) -> Read<()> {
    for _ in 0..reader.len("places")? {
        let ranking = reader.u32("ranking")? as usize;
        *places.get_mut(ranking).ok_or(Corrupt("number of a ranking"))? = Some(reader.number("place")?);
    }
    Ok(())
}

fn flags(membership: &Membership) -> u8 {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    flag(membership.member, MEMBER)
        | flag(!membership.armed, DISARMED)
        | flag(membership.times_entered > 0, EVER_ENTERED)
        | flag(membership.exited_at > Instant::MIN, EVER_EXITED)
        | flag(!membership.history.is_empty(), HAS_HISTORY)
        | flag(membership.pending.is_some(), HAS_PENDING)
        | flag(membership.pending.as_ref().is_some_and(|pending| pending.cause.is_some()), PENDING_HAS_CAUSE)
}

fn put_membership(out: &mut Vec<u8>, membership: &Membership, base: Instant) {
    out.push(flags(membership));
    if membership.times_entered > 0 {
        put_u64(out, u64::from(membership.times_entered));
        put_instant(out, membership.first_entered_at, base);
        put_instant(out, membership.entered_at, membership.first_entered_at);
    }
    if membership.exited_at > Instant::MIN {
        put_instant(out, membership.exited_at, base);
    }
    if !membership.history.is_empty() {
        put_len(out, membership.history.len());
        for (at, entered) in &membership.history {
            put_instant(out, *at, base);
            out.push(u8::from(*entered));
        }
    }
    if let Some(pending) = &membership.pending {
        let reason = ChangeReason::ALL.iter().position(|reason| *reason == pending.reason);
        put_len(out, reason.unwrap_or_default());
        if let Some(cause) = &pending.cause {
            put_text(out, &cause.event);
            out.push(u8::from(cause.event_id.is_some()));
            put_text(out, cause.event_id.as_deref().unwrap_or_default());
            put_i64(out, cause.position);
        }
    }
}

fn read_membership(reader: &mut Reader<'_>, base: Instant) -> Read<Membership> {
    let mut membership = Membership::new();
    let flags = reader.u8("membership")?;
    membership.member = flags & MEMBER != 0;
    membership.armed = flags & DISARMED == 0;
    if flags & EVER_ENTERED != 0 {
        membership.times_entered = reader.u32("times entered")?;
        membership.first_entered_at = reader.instant(base, "first entered")?;
        membership.entered_at = reader.instant(membership.first_entered_at, "entered")?;
    }
    if flags & EVER_EXITED != 0 {
        membership.exited_at = reader.instant(base, "exited")?;
    }
    if flags & HAS_HISTORY != 0 {
        for _ in 0..reader.len("history")? {
            let at = reader.instant(base, "history")?;
            membership.history.push((at, reader.u8("history")? != 0));
        }
    }
    if flags & HAS_PENDING != 0 {
        let reason = *ChangeReason::ALL.get(reader.u32("reason")? as usize).ok_or(Corrupt("reason"))?;
        let mut cause = None;
        if flags & PENDING_HAS_CAUSE != 0 {
            let event = reader.text("cause")?.to_owned();
            let has_id = reader.u8("cause")? != 0;
            let id = reader.text("cause")?.to_owned();
            cause = Some(EventCause { event, event_id: has_id.then_some(id), position: reader.i64("cause")? });
        }
        membership.pending = Some(Box::new(PendingChange { reason, cause }));
    }
    let fits = self::flags(&membership) == flags && !membership.is_new();
    if fits { Ok(membership) } else { Err(Corrupt("flags of a membership")) }
}

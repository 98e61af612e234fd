//! Fingerprints: of the whole file, of a cohort, of a fact. Spaces and the order of keys do not matter to them.

use std::collections::BTreeSet;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::Compiler;
use super::named::definitions_used;
use crate::event::{PropertyId, Span};
use crate::rules::ast::Events;
use crate::rules::document::{Document, Written};
use crate::rules::facts::{ChainSelectors, DistinctKey, FactKind, FactSpec, Floor, Keep, Selector};

/// Everything of one cohort that decides, in a fixed form: white space does not matter.
pub(super) fn canonical(document: &Document, cohort: &str) -> String {
    let rule = &document.cohorts[cohort];
    let words = |written: Option<&Written>| {
        written.map(|w| w.text.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
    };
    let span = |span: Option<Span>| span.map(|s| s.0.to_string()).unwrap_or_default();
    let mut lines = vec![
        cohort.to_owned(),
        words(Some(&rule.who)),
        words(rule.stay.as_ref()),
        words(rule.until.as_ref()),
        span(rule.at_least),
        span(rule.at_most),
        span(rule.cooldown),
        format!("{} {}", rule.once, rule.enabled),
    ];
    // What came into the language later is written only where it is used, so that older fingerprints stand.
    lines.extend(rule.group.as_ref().map(|group| format!("{} in {}", group.priority, group.name)));
    let named = [Some(&rule.who), rule.stay.as_ref(), rule.until.as_ref()];
    let exprs = named.into_iter().flatten().map(|written| &written.expr);
    lines.extend(definitions_used(document, exprs, &rule.include));
    lines.extend(rule.include.iter().map(|name| format!("include {}", name.text)));
    lines.join("\n")
}

/// The cohorts that are not emitted. They mean the same as if they were, but the emitted changes are numbered without
/// them.
pub(super) fn canonical_shadows(document: &Document) -> String {
    let shadows = document.cohorts.iter().filter(|(_, rule)| rule.shadow);
    shadows.map(|(name, _)| format!("\n\nshadow {name}")).collect()
}

/// What all cohorts share: time zone, activity, default gaps.
pub(super) fn canonical_frame(document: &Document) -> String {
    let activity = match &document.activity {
        Events::Anything => "anything".to_owned(),
        Events::Named(names) => {
            names.iter().map(|n| n.text.as_str()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
        }
    };
    let gaps: Vec<String> = document.usual_gaps.iter().map(|(event, gap)| format!("{event}={}", gap.0)).collect();
    format!("{}\n{activity}\n{}", document.time_zone, gaps.join(","))
}

pub(super) fn hash128(text: &str) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish128().as_u128()
}

pub(super) fn definition(document: &Document, cohort: &str) -> String {
    let text = format!("{}\n{}", canonical_frame(document), canonical(document, cohort));
    format!("{:016x}", hash128(&text) >> 64)
}

impl Compiler<'_> {
    /// A fact's definition, without capacities and numbers given to names, so that it outlives both.
    pub(super) fn in_words(&self, fact: &FactSpec) -> String {
        let property = |id: &PropertyId| self.properties[usize::from(id.0)].clone();
        let selector = |selector: &Selector| {
            let names: Option<BTreeSet<&str>> = selector
                .names
                .as_ref()
                .map(|ids| ids.iter().map(|id| self.names[usize::from(id.0)].as_str()).collect());
            let filters: BTreeSet<String> =
                selector.filters.iter().map(|f| format!("{} {:?}", property(&f.property), f.test)).collect();
            format!("{names:?} {filters:?}")
        };
        let key = |key: &DistinctKey| match key {
            DistinctKey::Property(id) => property(id),
            DistinctKey::Period(unit) => format!("{unit:?} in {}", self.document.time_zone),
        };
        let floor = |floor: &Floor| match floor {
            Floor::None => "none".to_owned(),
            Floor::SinceLast(fact) => format!("since last {}", selector(&self.facts[usize::from(fact.0)].selector)),
            Floor::WithinFirst(fact, span) => {
                format!("within {} of first {}", span.0, selector(&self.facts[usize::from(fact.0)].selector))
            }
        };
        let keep = |keep: &Keep| match keep {
            Keep::Latest => "latest".to_owned(),
            Keep::Earliest => "earliest".to_owned(),
            Keep::Spread { far, band } => format!("{} in {}", band.0, far.0),
            Keep::WithinFirst(fact, span) => floor(&Floor::WithinFirst(*fact, *span)),
        };
        let chain = |chain: &ChainSelectors| {
            let steps: Vec<String> = chain.steps.iter().map(selector).collect();
            format!("{} without {}", steps.join(" then "), chain.without.as_ref().map(selector).unwrap_or_default())
        };
        let kind = match &fact.kind {
            FactKind::Latest { .. } => "latest".to_owned(),
            FactKind::Earliest { .. } => "earliest".to_owned(),
            FactKind::Total { property: p, from } => format!("total {:?} {from:?}", p.as_ref().map(property)),
            FactKind::Series { property: p, floor: f, .. } => {
                format!("series {:?} {}", p.as_ref().map(property), floor(f))
            }
            FactKind::Distinct { key: k, earliest, .. } => format!("distinct {} {earliest}", key(k)),
            FactKind::DistinctAll { key: k, floor: f, .. } => format!("distinct all {} {}", key(k), floor(f)),
            FactKind::Extreme { property: p, greatest, from } => format!("extreme {} {greatest} {from:?}", property(p)),
            FactKind::Values { property: p, earliest, floor: f, .. } => {
                format!("values {} {earliest} {}", property(p), floor(f))
            }
            FactKind::Answer { last, .. } => format!("answer {last}"),
            FactKind::Steps { .. } => "steps".to_owned(),
            FactKind::Used => format!("days used in {}", self.document.time_zone),
            FactKind::Bought { amount } => {
                let amount = amount.map(|(name, id)| (self.names[usize::from(name.0)].clone(), property(&id)));
                format!("days bought {amount:?} in {}", self.document.time_zone)
            }
            FactKind::Followed { key: k, each, .. } => format!("followed {:?} {each}", k.as_ref().map(property)),
            FactKind::Chain { within, key: k, keep: kept, .. } => {
                let within: Vec<i64> = within.iter().map(|span| span.0).collect();
                let words = fact.chain.as_ref().map(chain).unwrap_or_default();
                return format!("chain {:?} {within:?} {} of {words}", k.as_ref().map(property), keep(kept));
            }
            FactKind::Periods { unit, .. } => format!("periods {}", key(&DistinctKey::Period(*unit))),
        };
        let via = fact.via.as_ref().map(|via| format!(" via {}", selector(via))).unwrap_or_default();
        let other = fact.other.as_ref().map(selector).unwrap_or_default();
        format!("{kind} of {} {other}{via}", selector(&fact.selector))
    }
}

//! `[cohorts.NAME]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::{CohortRule, Entry, Group, OnCreate, Reader, Written, is_plain};
use crate::event::{Localized, Span};
use crate::rules::ast::Name;

/// Keys of the language that this release does not support yet.
const LATER_COHORT: [&str; 1] = ["needs"];
const COHORT_KEYS: [&str; 17] = [
    "who",
    "stay",
    "until",
    "at_least",
    "at_most",
    "cooldown",
    "reenter",
    "enabled",
    "name",
    "owner",
    "action",
    "exclusive_in",
    "priority",
    "needs",
    "include",
    "on_create",
    "shadow",
];

/// The keys of one cohort as far as they were read.
#[derive(Default)]
struct Keys {
    who: Option<Written>,
    stay: Option<Written>,
    until: Option<Written>,
    at_least: Option<Span>,
    at_least_location: Option<Range<usize>>,
    at_most: Option<Span>,
    cooldown: Option<Span>,
    once: bool,
    enabled: bool,
    shadow: bool,
    on_create: OnCreate,
    include: Vec<Name>,
    name: Localized,
    owner: Option<String>,
    action: Option<String>,
    exclusive_in: Option<(String, Range<usize>)>,
    priority: Option<(i64, Range<usize>)>,
}

impl Reader<'_> {
    /// The cohorts by name, and the names of those that could not be read.
    pub(super) fn cohorts(&mut self, value: &Spanned<DeValue<'_>>) -> (BTreeMap<String, CohortRule>, BTreeSet<String>) {
        let (mut cohorts, mut unread) = (BTreeMap::new(), BTreeSet::new());
        for (name, value) in self.table("cohorts", value) {
            let plain = name.get_ref();
            if !is_plain(plain) {
                let hint = "use lower-case letters, digits and _, beginning with a letter; `name` is for people";
                let message = format!("`{plain}` is not a valid cohort name");
                self.error("cohorts", name.span(), message, Some(hint.into()));
            }
            if let Some(rule) = self.cohort(plain, name.span(), value) {
                cohorts.insert(plain.to_string(), rule);
            } else {
                unread.insert(plain.to_string());
            }
        }
        (cohorts, unread)
    }

    fn cohort(&mut self, cohort: &str, location: Range<usize>, value: &Spanned<DeValue<'_>>) -> Option<CohortRule> {
        let prefix = format!("cohorts.{cohort}");
        let before = self.errors.len();
        let name = Localized { en: cohort.replace('_', " "), fr: cohort.replace('_', " ") };
        let mut keys = Keys { enabled: true, name, ..Keys::default() };
        for entry in self.table(&prefix, value) {
            self.cohort_key(&prefix, entry, &mut keys);
        }
        if let (Some(Span(least)), Some(Span(most))) = (keys.at_least, keys.at_most)
            && least > most
        {
            let hint = "the minimum stay cannot be longer than the maximum";
            let location = keys.at_least_location.take().unwrap_or_else(|| location.clone());
            self.error(&prefix, location, "`at_least` is longer than `at_most`".into(), Some(hint.into()));
        }
        let group = match (keys.exclusive_in, keys.priority) {
            (Some((name, _)), Some((priority, literal))) => Some(Group { name, priority, literal }),
            (exclusive_in, priority) => {
                // After another error the missing key may be the one that could not be read.
                if self.errors.len() == before {
                    self.incomplete_group(&prefix, exclusive_in, priority);
                }
                None
            }
        };
        if keys.who.is_none() && self.errors.len() == before {
            let hint = "add it, such as who = \"did signup in the last 7 days\"; put the expression in quotes";
            self.error(&prefix, location, "`who` is missing".into(), Some(hint.into()));
        }
        Some(CohortRule {
            who: keys.who?,
            stay: keys.stay,
            until: keys.until,
            at_least: keys.at_least,
            at_most: keys.at_most,
            cooldown: keys.cooldown,
            once: keys.once,
            enabled: keys.enabled,
            shadow: keys.shadow,
            group,
            on_create: keys.on_create,
            include: keys.include,
            name: keys.name,
            owner: keys.owner,
            action: keys.action,
        })
    }

    fn cohort_key(&mut self, prefix: &str, entry: Entry<'_, '_>, keys: &mut Keys) {
        let (key, value) = entry;
        let dotted = format!("{prefix}.{}", key.get_ref());
        match key.get_ref().as_ref() {
            "who" => keys.who = self.expression(&dotted, value),
            "stay" => keys.stay = self.expression(&dotted, value),
            "until" => keys.until = self.expression(&dotted, value),
            "at_least" => {
                keys.at_least = self.duration(&dotted, value).map(|d| d.span);
                keys.at_least_location = Some(value.span());
            }
            "at_most" => keys.at_most = self.duration(&dotted, value).map(|d| d.span),
            "cooldown" => keys.cooldown = self.duration(&dotted, value).map(|d| d.span),
            "reenter" => match self.string(&dotted, value).as_deref() {
                Some("never") => keys.once = true,
                Some("always") | None => {}
                Some(_) => self.error(&dotted, value.span(), "expected \"always\" or \"never\"".into(), None),
            },
            "enabled" => keys.enabled = self.flag(&dotted, value).unwrap_or(keys.enabled),
            "shadow" => keys.shadow = self.flag(&dotted, value).unwrap_or(keys.shadow),
            "exclusive_in" => keys.exclusive_in = self.string(&dotted, value).map(|name| (name, value.span())),
            "priority" => keys.priority = self.integer(&dotted, value).map(|number| (number, value.span())),
            "include" => keys.include = self.included(&dotted, value),
            "on_create" => match self.string(&dotted, value).as_deref() {
                Some("emit") => keys.on_create = OnCreate::Emit,
                Some("silent") | None => {}
                Some(_) => self.error(&dotted, value.span(), "expected \"silent\" or \"emit\"".into(), None),
            },
            "owner" => keys.owner = self.string(&dotted, value),
            "action" => keys.action = self.string(&dotted, value),
            "name" => self.localized(&dotted, value, &mut keys.name),
            later if LATER_COHORT.contains(&later) => self.later(&dotted, key.span()),
            _ => self.unknown(prefix, entry, &COHORT_KEYS),
        }
    }

    /// Reports a group without a priority, or a priority without a group.
    fn incomplete_group(
        &mut self,
        prefix: &str,
        exclusive_in: Option<(String, Range<usize>)>,
        priority: Option<(i64, Range<usize>)>,
    ) {
        if let Some((name, span)) = exclusive_in {
            let hint =
                "add one, such as priority = 1: the customer is in the cohort of the group with the lowest number";
            let message = format!("a cohort of the group `{name}` needs a `priority`");
            self.error(&format!("{prefix}.exclusive_in"), span, message, Some(hint.into()));
        }
        if let Some((_, span)) = priority {
            let hint = "add it, such as exclusive_in = \"offers\": a priority applies within a group";
            let message = "a `priority` needs `exclusive_in`".to_owned();
            self.error(&format!("{prefix}.priority"), span, message, Some(hint.into()));
        }
    }
}

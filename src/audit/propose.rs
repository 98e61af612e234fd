//! A sources file for what was found, with the reason for each line.

use std::collections::{BTreeMap, BTreeSet};

use super::critical::critical;
use super::describe::events;
use super::guess::{Chosen, EventName, Guess, Why, is_keyed_by_customer};
use super::moments::Form;
use super::names::spelling;
use super::paths::FieldId;
use super::record::Format;
use super::rules_use::RulesUse;
use super::text::{Language, counted, listed, percent};
use super::topic::Topic;
use super::value::Kind;
use crate::sources::Preset;

/// The most properties that are proposed.
const PROPERTIES_MAX: usize = 60;
/// The most names of events that are listed one by one.
const NAMES_MAX: usize = 50;
/// The longest name of a topic, in bytes.
const TOPIC_MAX: usize = 249;

/// A sources file, and how many sources are in force in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub text: String,
    pub sources: usize,
}

/// A mapping for each topic; of those that cannot be mapped, as comments, with what is missing.
pub(super) fn propose(topics: &[(Topic, Guess)], rules: Option<&RulesUse>, language: Language) -> Proposal {
    let mut proposal = Proposal { text: String::new(), sources: 0 };
    let mut names = BTreeSet::new();
    for (topic, guess) in topics {
        let name = source_name(&topic.name, &mut names);
        let mut writer = Writer { topic, guess, rules, language, lines: Vec::new() };
        let lacks = writer.source(&name);
        if !proposal.text.is_empty() {
            proposal.text.push('\n');
        }
        proposal.sources += usize::from(lacks.is_none());
        for line in writer.lines {
            // What lacks something is a comment, so that the file is right all the same.
            let is_comment = lacks.is_none() || line.is_empty() || line.starts_with('#');
            proposal.text.push_str(if is_comment { "" } else { "# " });
            proposal.text.push_str(&line);
            proposal.text.push('\n');
        }
    }
    proposal
}

/// `shop.Orders` as `shop_orders`, and once only.
fn source_name(topic: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name: String = (topic.chars())
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .take(80)
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert(0, 's');
    }
    let mut unique = name.clone();
    let mut copy = 1;
    while !taken.insert(unique.clone()) {
        copy += 1;
        unique = format!("{name}_{copy}");
    }
    unique
}

/// As Kafka accepts it.
fn topic_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.chars().map(|c| if fits(c) { c } else { '_' }).take(TOPIC_MAX).collect()
}

/// A text of TOML on one line.
fn quoted(text: &str) -> String {
    if text.contains('"') && !text.contains('\'') && !text.chars().any(char::is_control) {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A key of TOML.
fn key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

struct Writer<'a> {
    topic: &'a Topic,
    guess: &'a Guess,
    rules: Option<&'a RulesUse>,
    language: Language,
    lines: Vec<String>,
}

impl Writer<'_> {
    /// Writes a source. Returns what it lacks.
    fn source(&mut self, name: &str) -> Option<()> {
        let format = self.format();
        let lacks = (format.is_none() || self.guess.customer.is_none() || self.guess.time.is_none()).then_some(());
        let records = self.count(self.topic.records, ("record", "records"), ("message", "messages"));
        self.comment(&format!("{}: {records}", self.topic.name), &format!("{}\u{a0}: {records}", self.topic.name));
        if format.is_none() {
            self.comment(
                "It cannot be read: neither JSON nor Avro with a known schema.",
                "Illisible\u{a0}: ni JSON, ni Avro avec un schéma connu.",
            );
        }
        if self.is_customer_event() {
            self.comment(
                "These are CustomerEvent records already, keyed by customer: alone, the topic needs no mapping (topics.input).",
                "Ce sont déjà des CustomerEvent, avec le client pour clé\u{a0}: seul, ce topic se lit sans correspondance (topics.input).",
            );
        }
        self.line(&format!("[sources.{name}]"));
        self.line(&format!("topic = {}", quoted(&topic_name(&self.topic.name))));
        if let Some(preset) = self.guess.preset {
            self.comment("Its fields are those of the preset.", "Ses champs sont ceux de ce préréglage.");
            self.line(&format!("preset = {}", quoted(preset.word())));
        }
        self.line(&format!("format = {}", quoted(format.unwrap_or("json"))));
        self.customer();
        self.time();
        self.id();
        self.event();
        self.each();
        self.properties(name);
        lacks
    }

    fn line(&mut self, line: &str) {
        self.lines.push(line.to_owned());
    }

    fn comment(&mut self, english: &str, french: &str) {
        let text = match self.language {
            Language::English => english,
            Language::French => french,
        };
        // Names are those of others, and could break a line.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.lines.push(format!("# {text}"));
    }

    fn count(&self, count: u64, english: (&str, &str), french: (&str, &str)) -> String {
        let (one, more) = if self.language == Language::English { english } else { french };
        counted(count, one, more, self.language)
    }

    /// The format of most records; `None`: none can be read.
    fn format(&self) -> Option<&'static str> {
        let of = |format: Format| match format {
            Format::Json | Format::JsonSchema => Some("json"),
            Format::Avro | Format::AvroSingleObject | Format::AvroFile => Some("avro"),
            Format::AvroBare => Some("bare"),
            Format::Text | Format::Tombstone | Format::Unreadable => None,
        };
        let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (format, count) in &self.topic.formats {
            if let Some(word) = of(*format) {
                *counts.entry(word).or_default() += count;
            }
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(word, _)| word)
    }

    fn is_customer_event(&self) -> bool {
        let root = |path: &str| self.topic.paths.all().any(|field| self.topic.paths.text(field) == path);
        !self.topic.is_of_files()
            && self.topic.formats.keys().any(|format| matches!(format, Format::Avro | Format::AvroSingleObject))
            && ["customer_id", "event", "occurred_at", "properties"].into_iter().all(root)
            && is_keyed_by_customer(self.topic, self.guess)
    }

    /// In how many records it is, and why it was chosen.
    fn reasons(&mut self, chosen: &Chosen) {
        let share = percent(chosen.share, self.language);
        let words = |why: &Why| match (why, self.language) {
            (Why::Name, Language::English) => "its name says so",
            (Why::Name, Language::French) => "son nom le dit",
            (Why::Key, Language::English) => "the record's key is the same",
            (Why::Key, Language::French) => "la clé du message est la même",
            (Why::Type, Language::English) => "its type is a timestamp",
            (Why::Type, Language::French) => "son type est un horodatage",
            (Why::Unique, Language::English) => "no two records have the same",
            (Why::Unique, Language::French) => "il est unique",
            (Why::Few, Language::English) => "it has few different values",
            (Why::Few, Language::French) => "il a peu de valeurs différentes",
            (Why::Only, Language::English) => "there is nothing better",
            (Why::Only, Language::French) => "il n’y a rien de mieux",
            (Why::Preset | Why::Topic, _) => "",
        };
        let why: Vec<String> = chosen.why.iter().map(|why| words(why).to_owned()).collect();
        let why = listed(&why, self.language);
        self.comment(
            &format!("In {share} of the records; {why}."),
            &format!("Dans {share} des messages\u{a0}; {why}."),
        );
    }

    fn customer(&mut self) {
        let Some(chosen) = self.guess.customer.clone() else {
            self.comment(
                "Nothing says which customer a record is about; name the field here.",
                "Rien ne dit de quel client il s’agit\u{a0}; indiquez le champ ici.",
            );
            return self.line("customer = \"\"");
        };
        self.reasons(&chosen);
        let paths = match self.both_rows(&chosen) {
            Some(both) => both,
            None => quoted(&chosen.path),
        };
        let others: Vec<String> = self
            .guess
            .other_customers
            .iter()
            .filter(|other| !paths.contains(&quoted(&other.path)))
            .map(|other| format!("{} ({})", quoted(&other.path), percent(other.share, self.language)))
            .collect();
        if !others.is_empty() {
            let others = listed(&others, self.language);
            self.comment(
                &format!("Others that may be it: {others}."),
                &format!("Autres possibilités\u{a0}: {others}."),
            );
        }
        self.line(&format!("customer = {paths}"));
    }

    /// Of change records the customer stands in the row after the change; of a deleted row, before it.
    fn both_rows(&self, chosen: &Chosen) -> Option<String> {
        let row = chosen.path.strip_prefix("after.").or_else(|| chosen.path.strip_prefix("before."))?;
        let is_debezium = self.guess.preset == Some(Preset::Debezium);
        is_debezium.then(|| format!("[{}, {}]", quoted(&format!("after.{row}")), quoted(&format!("before.{row}"))))
    }

    fn time(&mut self) {
        let Some(chosen) = self.guess.time.clone() else {
            self.comment(
                "No field is a time; on a topic, \"@timestamp\" is the time at which a record was written.",
                "Aucun champ n’est une date\u{a0}; sur un topic, \"@timestamp\" est l’heure d’envoi.",
            );
            return self.line("time = \"\"");
        };
        self.reasons(&chosen);
        let times = self.topic.times.all.iter().find(|own| Some(own.field) == chosen.field);
        let forms: Vec<(Form, u64)> =
            times.map(|own| own.kept.forms.iter().map(|(form, count)| (*form, *count)).collect()).unwrap_or_default();
        let units = forms.iter().filter(|(form, _)| form.unit().is_some()).max_by_key(|(_, count)| *count);
        match units.and_then(|(form, _)| form.unit()).filter(|unit| *unit != Form::Millis.as_str()) {
            Some(unit) => self.line(&format!("time = {{ field = {}, unit = {} }}", quoted(&chosen.path), quoted(unit))),
            None => self.line(&format!("time = {}", quoted(&chosen.path))),
        }
        if forms.iter().any(|(form, _)| form.needs_zone()) {
            self.comment(
                "Its times have no zone: write the one of those who send them.",
                "Ses heures n’ont pas de fuseau\u{a0}: indiquez celui de l’expéditeur.",
            );
            let zone = self.rules.map_or("UTC", |rules| rules.time_zone.as_str());
            self.line(&format!("time_zone = {}", quoted(zone)));
        }
    }

    fn id(&mut self) {
        match self.guess.id.clone() {
            Some(chosen) => {
                self.reasons(&chosen);
                self.line(&format!("id = {}", quoted(&chosen.path)));
            }
            None if self.guess.preset.is_some() => {}
            None => self.comment(
                "No field is an id of its own, so a hash of the record's bytes is.",
                "Aucun champ n’identifie l’événement\u{a0}: une empreinte du message en tient lieu.",
            ),
        }
    }

    fn event(&mut self) {
        if self.guess.preset.is_some() {
            return self
                .comment("The preset says what the events are called.", "Le préréglage donne le nom des événements.");
        }
        match self.guess.event.clone() {
            EventName::Constant(name) => {
                self.comment(
                    "No field names the event: it is called after the topic.",
                    "Aucun champ ne nomme l’événement\u{a0}: il prend le nom du topic.",
                );
                self.line(&format!("event = {}", quoted(&name)));
            }
            EventName::Field(chosen) => {
                self.reasons(&chosen);
                self.names(&chosen);
            }
        }
    }

    /// The names of events, where some of them mean one that rules have under another name.
    fn names(&mut self, chosen: &Chosen) {
        let (names, is_exact) = events(self.topic, self.guess);
        let field = quoted(&chosen.path);
        let renamed: Vec<(&str, String)> = {
            let names: Vec<(&str, u64)> = names.iter().map(|(name, kept)| (name.as_str(), kept.count)).collect();
            renamed(&names, self.rules)
        };
        let is_changed = renamed.iter().any(|(name, to)| *name != to.as_str());
        if !is_changed || !is_exact || names.len() > NAMES_MAX {
            return self.line(&format!("event = {{ field = {field} }}"));
        }
        self.comment(
            "Each value with the name that rules have for it; a value that is not listed is skipped.",
            "Chaque valeur avec le nom que lui donnent les règles\u{a0}; une valeur absente d’ici est ignorée.",
        );
        let pairs: Vec<String> = renamed.iter().map(|(name, to)| format!("{} = {}", key(name), quoted(to))).collect();
        self.line(&format!("event = {{ field = {field}, names = {{ {} }} }}", pairs.join(", ")));
    }

    /// Lists of records, of which each element may be an event.
    fn each(&mut self) {
        let lists: Vec<String> = (self.topic.paths.all())
            .filter(|field| self.topic.field(*field).kind() == Some(Kind::List) && !self.topic.paths.is_several(*field))
            .filter(|field| !self.topic.paths.is_of_key(*field))
            .map(|field| self.topic.paths.text(field))
            .filter(|path| !path.is_empty())
            .filter(|path| {
                self.topic.paths.all().any(|field| self.topic.paths.text(field).starts_with(&format!("{path}[].")))
            })
            .collect();
        for list in lists {
            self.comment(
                &format!("One event for each element: each = {}; its fields are then each.NAME.", quoted(&list)),
                &format!(
                    "Un événement par élément\u{a0}: each = {}\u{a0}; ses champs s’écrivent each.NOM.",
                    quoted(&list)
                ),
            );
        }
    }

    fn properties(&mut self, source: &str) {
        let mut found = Vec::new();
        let mut taken = BTreeSet::new();
        for field in self.topic.paths.all() {
            if let Some((name, path, as_number)) = self.property(field, &mut taken) {
                found.push((name, path, as_number, field));
            }
        }
        if found.is_empty() {
            return;
        }
        let rules = self.rules;
        let is_used = |name: &str| rules.is_none_or(|rules| rules.properties.contains(name));
        let used = found.iter().filter(|(name, ..)| is_used(name)).count().min(PROPERTIES_MAX);
        self.lines.push(String::new());
        if rules.is_some() && used < found.len() {
            self.comment(
                "Those that rules use; remove the # of another one when a rule needs it.",
                "Celles que les règles utilisent\u{a0}; retirez le # d’une autre quand une règle en a besoin.",
            );
        }
        self.line(&format!("[sources.{source}.properties]"));
        let mut written = 0;
        for (name, path, as_number, field) in &found {
            let is_in_force = is_used(name) && written < PROPERTIES_MAX;
            written += usize::from(is_in_force);
            let value = match as_number {
                true => format!("{{ field = {}, as = \"number\" }}", quoted(path)),
                false => quoted(path),
            };
            let share =
                percent(self.topic.field(*field).records as f64 / self.topic.readable().max(1) as f64, self.language);
            let before = if is_in_force { "" } else { "# " };
            self.line(&format!("{before}{} = {value}  # {share}", key(name)));
        }
    }

    /// The name and path of a field that may be a property, and whether its text is a number.
    fn property(&self, field: FieldId, taken: &mut BTreeSet<String>) -> Option<(String, String, bool)> {
        let paths = &self.topic.paths;
        let stats = self.topic.field(field);
        let chosen = [&self.guess.customer, &self.guess.time, &self.guess.id];
        let is_chosen = chosen.into_iter().flatten().any(|chosen| chosen.field == Some(field))
            || matches!(&self.guess.event, EventName::Field(chosen) if chosen.field == Some(field));
        let kind = stats.kind()?;
        if is_chosen || !kind.is_single() || paths.is_several(field) || paths.is_of_key(field) {
            return None;
        }
        let (own, within) = paths.names(field);
        let path = paths.text(field);
        let is_wanted = match self.guess.preset {
            Some(Preset::Segment) => {
                path.starts_with("properties.") && !Preset::Segment.text().contains(&quoted(&path))
            }
            Some(Preset::Debezium) => path.starts_with("after."),
            Some(Preset::CloudEvents) | None => true,
        };
        if own.is_empty() || !is_wanted || own.chars().any(char::is_control) {
            return None;
        }
        let names = [own.to_owned(), format!("{within}_{own}")];
        let name = names.into_iter().find(|name| !taken.contains(name))?;
        taken.insert(name.clone());
        Some((name, path, kind == Kind::NumberText))
    }
}

/// The names of events as rules have them: the spelling that rules use, or one of the five for the most frequent name that
/// means it. Other names that may mean it are left alone, since one purchase may be two events.
fn renamed<'n>(names: &[(&'n str, u64)], rules: Option<&RulesUse>) -> Vec<(&'n str, String)> {
    let is_rules = |name: &str| rules.is_some_and(|rules| rules.events.contains(name));
    let mut of_critical: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, _) in names {
        if let Some(critical) = critical(name) {
            of_critical.entry(critical.as_str()).or_insert(name);
        }
    }
    let to = |name: &str| -> String {
        if is_rules(name) {
            return name.to_owned();
        }
        let alike = rules.and_then(|rules| rules.events.iter().find(|known| spelling(known) == spelling(name)));
        if let Some(known) = alike {
            return known.clone();
        }
        let critical = critical(name).map(|critical| critical.as_str());
        let meant = critical.filter(|word| {
            let is_first = of_critical.get(word).is_some_and(|first| spelling(first) == spelling(name));
            is_first && rules.is_none_or(|_| is_rules(word))
        });
        let first_spelling =
            || names.iter().find(|(other, _)| spelling(other) == spelling(name)).map(|(other, _)| *other);
        meant.or_else(first_spelling).unwrap_or(name).to_owned()
    };
    names.iter().map(|(name, _)| (*name, to(name))).collect()
}

/// The head of the file.
pub(super) fn head(records: u64, language: Language) -> String {
    let records = match language {
        Language::English => counted(records, "record", "records", language),
        Language::French => counted(records, "message", "messages", language),
    };
    match language {
        Language::English => format!(
            "# Proposed by `cohortd audit` from {records}. Each line is a guess, with the reason above it.\n\
             # Check it with `cohortd check --sources sources.toml`, and try it on the same records with `cohortd sources try`.\n"
        ),
        Language::French => format!(
            "# Proposé par `cohortd audit` d’après {records}. Chaque ligne est une hypothèse, avec sa raison au-dessus.\n\
             # À vérifier avec `cohortd check --sources sources.toml`, puis à essayer sur les mêmes messages avec `cohortd sources try`.\n"
        ),
    }
}

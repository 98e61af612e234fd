//! What was found in one topic, as text.

use super::page::Page;
use crate::audit::{ChosenReport, TimeReport, TopicReport, counted, listed, number, percent, size};
use crate::cli::sizes::sparkline;

/// The most fields of a topic on the screen.
const FIELDS_MAX: usize = 40;
/// The most names of events.
const EVENTS_MAX: usize = 12;
/// The blocks of the line of hours.
const BLOCKS: usize = 60;

/// Writes a topic.
pub(super) fn topic(page: &mut Page, topic: &TopicReport) {
    let language = page.language;
    let (one, more) = page.say(("record", "records"), ("message", "messages"));
    let records = counted(topic.records, one, more, language);
    let partitions = match topic.partitions {
        0 => String::new(),
        count => {
            let (one, more) = page.say(("partition", "partitions"), ("partition", "partitions"));
            format!(", {}", counted(count.into(), one, more, language))
        }
    };
    page.heading(&format!("{}: {records}, {}{partitions}", topic.topic, size(topic.bytes, language)));
    if topic.passed_over > 0 {
        let others = number(topic.passed_over, language);
        let text = page.say(
            format!("{others} more are outside of the range or the sample"),
            format!("{others} autres sont hors de la période ou de l’échantillon"),
        );
        page.row("", &text);
    }
    page.row("format", &formats(page, topic));
    hours(page, topic);
    keys(page, topic);
    let label = page.say("customer", "client");
    page.row(label, &customer(page, topic));
    times(page, topic);
    events(page, topic);
    if let Some(id) = &topic.id {
        page.row("id", &chosen(page, id));
    }
    copies(page, topic);
    fields(page, topic);
}

fn formats(page: &Page, topic: &TopicReport) -> String {
    let word = |format: &str| match format {
        "json" => page.say("JSON", "JSON"),
        "json_schema" => page.say("JSON with a schema id", "JSON avec numéro de schéma"),
        "avro" => page.say("Avro", "Avro"),
        "avro_single_object" => page.say("Avro (single-object)", "Avro (single-object)"),
        "avro_file" => page.say("Avro container", "conteneur Avro"),
        "avro_bare" => page.say("bare Avro", "Avro sans en-tête"),
        "text" => page.say("text", "texte"),
        "null" => page.say("null", "vide"),
        _ => page.say("unreadable", "illisible"),
    };
    let mut parts: Vec<String> = match topic.formats.len() {
        1 => topic.formats.keys().map(|format| word(format).to_owned()).collect(),
        _ => {
            let of = |(format, count): (&&str, &u64)| format!("{} {}", word(format), number(*count, page.language));
            topic.formats.iter().map(of).collect()
        }
    };
    for schema in &topic.schemas {
        let (schema, record, count) = (&schema.schema, &schema.record, number(schema.records, page.language));
        let word = page.say("schema", "schéma");
        parts.push(match schema.as_str() {
            "file" => format!("{word} {record}"),
            _ => format!("{word} {schema} {record} ({count})"),
        });
    }
    parts.join(", ")
}

fn hours(page: &mut Page, topic: &TopicReport) {
    let (Some(first), Some(last)) = (topic.hours.hours.first(), topic.hours.hours.last()) else { return };
    let by = topic.hours.by.as_deref().unwrap_or_default();
    let width = topic.hours.width_ms;
    let period = page.say(
        format!("{} to {} UTC, by {by}", page.instant(first.0), page.instant(last.0 + width)),
        format!("du {} au {} UTC, selon {by}", page.instant(first.0), page.instant(last.0 + width)),
    );
    let label = page.say("period", "période");
    page.row(label, &period);
    let count = usize::try_from((last.0 - first.0) / width + 1).unwrap_or(usize::MAX);
    let blocks = count.min(BLOCKS);
    if blocks < 2 {
        return;
    }
    let mut sums = vec![0_u64; blocks];
    for (from, records, _) in &topic.hours.hours {
        let place = usize::try_from((from - first.0) / width).unwrap_or(0);
        sums[place * blocks / count] += records;
    }
    let Some(most) = topic.hours.hours.iter().max_by_key(|(from, records, _)| (*records, std::cmp::Reverse(*from)))
    else {
        return;
    };
    let busiest = page.say(
        format!("at most {} in {}, {}", number(most.1, page.language), unit(page, width), page.instant(most.0)),
        format!("au plus {} en {}, {}", number(most.1, page.language), unit(page, width), page.instant(most.0)),
    );
    let label = page.say("over time", "rythme");
    page.row(label, &sparkline(&sums).replace(' ', "·"));
    page.row("", &busiest);
}

fn unit(page: &Page, width: i64) -> String {
    match width / 3_600_000 {
        1 => page.say("an hour", "une heure").to_owned(),
        24 => page.say("a day", "un jour").to_owned(),
        hours => format!("{} {}", hours / 24, page.say("days", "jours")),
    }
}

fn keys(page: &mut Page, topic: &TopicReport) {
    if topic.partitions == 0 {
        return;
    }
    let keys = &topic.keys;
    let kinds = [
        (keys.text, "text", "texte"),
        (keys.json, "JSON", "JSON"),
        (keys.avro, "Avro", "Avro"),
        (keys.none, "none", "aucune"),
    ];
    let mut parts: Vec<String> = (kinds.into_iter())
        .filter(|(count, ..)| *count > 0)
        .map(|(count, english, french)| format!("{} {}", page.say(english, french), number(count, page.language)))
        .collect();
    if keys.distinct > 0 {
        let distinct = number(keys.distinct, page.language);
        parts.push(page.say(format!("{distinct} different"), format!("{distinct} différentes")));
    }
    parts.push(
        match keys.partitioned {
            Some("murmur2") => page.say("partitioned by murmur2", "partitions selon murmur2"),
            Some("mixed") => page.say("partitioned by murmur2 and otherwise", "partitions selon murmur2, et autrement"),
            Some(_) => page.say("not partitioned by murmur2", "partitions autres que murmur2"),
            None => "",
        }
        .to_owned(),
    );
    parts.retain(|part| !part.is_empty());
    let label = page.say("keys", "clés");
    page.row(label, &parts.join(", "));
}

/// Where it is, and in how many records.
fn chosen(page: &Page, chosen: &ChosenReport) -> String {
    let share = percent(chosen.share, page.language);
    page.say(format!("{} in {share}", chosen.path), format!("{} dans {share}", chosen.path))
}

fn customer(page: &Page, topic: &TopicReport) -> String {
    let Some(customer) = &topic.customer else {
        return page.say("none found", "introuvable").to_owned();
    };
    let count = number(topic.customers, page.language);
    let others: Vec<String> = topic.other_customers.iter().map(|other| chosen(page, other)).collect();
    let others = match others.as_slice() {
        [] => String::new(),
        others => page.say("; else ", "\u{a0}; sinon ").to_owned() + &listed(others, page.language),
    };
    let own = chosen(page, customer);
    page.say(format!("{own}, {count} different{others}"), format!("{own}, {count} différents{others}"))
}

fn times(page: &mut Page, topic: &TopicReport) {
    let label = page.say("time", "date");
    let Some(time) = &topic.time else {
        let none = page.say("none found", "introuvable");
        return page.row(label, none);
    };
    let own = chosen(page, time);
    match topic.times.iter().find(|found| found.path == time.path) {
        None => page.row(label, &own),
        Some(found) => {
            let quality = quality(page, topic, found);
            page.row(label, &format!("{own}: {quality}"));
        }
    }
    for other in topic.times.iter().filter(|found| found.path != time.path) {
        let quality = quality(page, topic, other);
        page.row("", &format!("{}: {quality}", other.path));
    }
}

fn quality(page: &Page, topic: &TopicReport, time: &TimeReport) -> String {
    // A file need not be in the order in which its records were made.
    let in_order = |count: u64| if topic.partitions > 0 { count } else { 0 };
    let french = |form: &str| match form {
        "seconds" => "secondes",
        "milliseconds" => "millisecondes",
        "microseconds" => "microsecondes",
        "nanoseconds" => "nanosecondes",
        "timestamp" => "horodatage",
        "timestamp without a time zone" => "horodatage sans fuseau",
        "text with a time zone" => "texte avec fuseau",
        "text without a time zone" => "texte sans fuseau",
        _ => "date seule",
    };
    let all: u64 = time.forms.values().sum();
    let mut forms: Vec<(&&str, &u64)> = time.forms.iter().collect();
    forms.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let of = |count: u64| percent(count as f64 / all.max(1) as f64, page.language);
    let mut parts: Vec<String> = (forms.into_iter())
        .map(|(form, count)| {
            let form = page.say(*form, french(form));
            if *count == all { form.to_owned() } else { format!("{form} {}", of(*count)) }
        })
        .collect();
    for (count, english, french) in [
        (time.unclear, "no times", "illisibles"),
        (time.future, "in the future", "dans le futur"),
        (in_order(time.late), "behind newer ones", "après de plus récents"),
        (in_order(time.too_late), "too late to count", "trop tard pour compter"),
    ] {
        if count > 0 {
            parts.push(format!("{} {}", of(count), page.say(english, french)));
        }
    }
    if let (Some(median), Some(most)) = (time.lag_median_ms, time.lag_99_ms) {
        let (median, most) = (page.length(median), page.length(most));
        parts.push(page.say(
            format!("written within {median} (half) and {most} (99 %)"),
            format!("reçus en {median} (moitié) et {most} (99\u{a0}%)"),
        ));
    }
    for slip in &time.slips {
        let hours: Vec<String> = slip.hours.iter().map(|hours| format!("{hours:+}")).collect();
        let (share, hours) = (percent(slip.share, page.language), hours.join(" / "));
        parts.push(page.say(
            format!("{hours} h from {} in {share}", slip.against),
            format!("{hours}\u{a0}h par rapport à {} dans {share}", slip.against),
        ));
    }
    parts.join(", ")
}

fn events(page: &mut Page, topic: &TopicReport) {
    let label = page.say("events", "événements");
    let names: Vec<String> = (topic.events.iter().take(EVENTS_MAX))
        .map(|event| {
            let unused = if event.used == Some(false) { page.say(", no rule", ", aucune règle") } else { "" };
            format!("{} ({}{unused})", event.event, number(event.records, page.language))
        })
        .collect();
    let more = match (topic.events.len().saturating_sub(EVENTS_MAX), topic.more_events) {
        (0, false) => String::new(),
        (0, true) => page.say(", and others", ", et d’autres").to_owned(),
        (more, _) => page.say(format!(", and {more} more"), format!(", et {more} autres")),
    };
    let by = match (&topic.event, topic.preset) {
        (_, Some(preset)) => page.say(format!("preset {preset}: "), format!("préréglage {preset}\u{a0}: ")),
        (Some(event), None) => format!("{}: ", chosen(page, event)),
        (None, None) => page.say("called after the topic: ", "d’après le nom du topic\u{a0}: ").to_owned(),
    };
    page.row(label, &format!("{by}{}{more}", names.join(", ")));
}

fn copies(page: &mut Page, topic: &TopicReport) {
    let duplicates = topic.duplicates;
    let content = percent(duplicates.by_content, page.language);
    let mut text = page.say(format!("{content} by content"), format!("{content} selon le contenu"));
    if let (Some(id), Some(other)) = (duplicates.by_id, duplicates.by_id_with_other_content) {
        let (id, other) = (percent(id, page.language), percent(other, page.language));
        text += &page.say(
            format!(", {id} by id, {other} with the id of another content"),
            format!(", {id} selon l’id, {other} avec l’id d’un autre contenu"),
        );
    }
    let label = page.say("copies", "doublons");
    page.row(label, &text);
}

fn fields(page: &mut Page, topic: &TopicReport) {
    let (in_, types, distinct) = page.say(("in", "type", "different"), ("dans", "type", "différents"));
    let width =
        topic.fields.iter().take(FIELDS_MAX).map(|field| field.path.chars().count()).max().unwrap_or(0).clamp(8, 40);
    let label = page.say("field", "champ");
    page.line(&format!("  {label:<width$}  {types:<22}  {in_:>13}  {distinct:>12}"));
    for field in topic.fields.iter().take(FIELDS_MAX) {
        let path = shortened(&field.path, width);
        let share = percent(field.share, page.language);
        let about = if field.distinct_is_exact { "" } else { "~" };
        let distinct = format!("{about}{}", number(field.distinct, page.language));
        let others = field.types.len() - 1;
        let of = types_in(page, field.main_type);
        let types = if others == 0 { of.to_owned() } else { format!("{of} +{others}") };
        page.line(&format!("  {path:<width$}  {types:<22}  {share:>13}  {distinct:>12}"));
        if let Some(values) = field.values.as_ref().filter(|values| !values.is_empty()) {
            let shown: Vec<String> = values
                .iter()
                .map(|(text, count)| {
                    let text = shortened(&text.replace(char::is_control, " "), 24);
                    count.map_or(text.clone(), |count| format!("{text} ({count})"))
                })
                .collect();
            page.wrapped("      ", 6, &shown.join(", "));
        }
    }
    if topic.fields.len() > FIELDS_MAX {
        let more = topic.fields.len() - FIELDS_MAX;
        let text =
            page.say(format!("  {more} more: --json has all"), format!("  {more} autres\u{a0}: --json les donne tous"));
        page.line(&text);
    }
    if topic.values_left_out > 0 {
        let count = number(topic.values_left_out, page.language);
        let text = page.say(
            format!("  {count} values are of more fields than there is room for"),
            format!("  {count} valeurs concernent d’autres champs, trop nombreux"),
        );
        page.line(&text);
    }
}

fn types_in<'t>(page: &Page, english: &'t str) -> &'t str {
    let french = match english {
        "null" => "vide",
        "boolean" => "booléen",
        "integer" => "entier",
        "number" => "nombre",
        "timestamp" => "horodatage",
        "date" => "date",
        "time of day" => "heure",
        "text" => "texte",
        "e-mail" => "e-mail",
        "time as text" => "date en texte",
        "number as text" => "nombre en texte",
        "bytes" => "octets",
        "list" => "liste",
        "record" => "groupe",
        other => other,
    };
    page.say(english, french)
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let end: String = text.chars().take(width.saturating_sub(1)).collect();
    end + "…"
}

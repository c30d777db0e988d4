//! What a person sees: nothing overlaps, and the notes follow n8n's rules for templates.

use serde_json::Value;

use crate::{
    Finding,
    workflow::{Node, Workflow},
};

/// A node on the canvas, in pixels.
const NODE_SIZE: f64 = 96.0;

/// A note without a colour is yellow; this one is white.
const WHITE: i64 = 7;

/// From so many nodes on, each stands on a white note.
const SECTIONS_FROM: usize = 4;

const OVERVIEW_WORDS: std::ops::RangeInclusive<usize> = 100..=300;
const SECTION_WORDS: usize = 50;
const DESCRIPTION_WORDS: std::ops::RangeInclusive<usize> = 120..=250;

pub(crate) fn check(workflow: &Workflow) -> Vec<Finding> {
    let mut findings = overlaps(workflow);
    findings.extend(overview(workflow));
    findings.extend(sections(workflow));
    findings.extend(title(workflow));
    findings
}

struct Rectangle {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Rectangle {
    fn of(node: &Node) -> Self {
        let side = |name| node.parameters.get(name).and_then(Value::as_f64).unwrap_or(NODE_SIZE);
        let (width, height) =
            if node.is_note() { (side("width"), side("height")) } else { (NODE_SIZE, NODE_SIZE) };
        let (left, top) = node.position;
        Self { left, top, right: left + width, bottom: top + height }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left
            && other.right <= self.right
            && self.top <= other.top
            && other.bottom <= self.bottom
    }
}

fn is_overview(note: &Node) -> bool {
    !note.parameters.contains_key("color")
}

fn content(note: &Node) -> &str {
    note.parameters.get("content").and_then(Value::as_str).unwrap_or_default()
}

fn words(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

/// Nodes never overlap; neither do notes; a node lies on a note, or beside it.
fn overlaps(workflow: &Workflow) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, node) in workflow.nodes.iter().enumerate() {
        for other in &workflow.nodes[index + 1..] {
            let (a, b) = (Rectangle::of(node), Rectangle::of(other));
            let is_on_note = match (node.is_note(), other.is_note()) {
                (true, false) => !is_overview(node) && a.holds(&b),
                (false, true) => !is_overview(other) && b.holds(&a),
                _ => false,
            };
            if a.overlaps(&b) && !is_on_note {
                findings
                    .push(Finding::of_node(&node.name, format!("it overlaps “{}”", other.name)));
            }
        }
    }
    findings
}

fn overview(workflow: &Workflow) -> Vec<Finding> {
    let overviews: Vec<_> = workflow.notes().filter(|note| is_overview(note)).collect();
    let [note] = overviews.as_slice() else {
        return vec![Finding::of_workflow(format!(
            "expected one yellow note, found {}",
            overviews.len()
        ))];
    };
    let mut findings = Vec::new();
    let (text, count) = (content(note), words(content(note)));
    if !OVERVIEW_WORDS.contains(&count) {
        findings.push(Finding::of_node(
            &note.name,
            format!("expected 100 to 300 words, found {count}"),
        ));
    }
    for heading in ["### How it works", "### Setup"] {
        if !text.contains(heading) {
            findings.push(Finding::of_node(&note.name, format!("expected the heading {heading}")));
        }
    }
    findings
}

fn sections(workflow: &Workflow) -> Vec<Finding> {
    let mut findings = Vec::new();
    let white: Vec<_> = workflow.notes().filter(|note| !is_overview(note)).collect();
    for note in &white {
        if note.parameters.get("color").and_then(Value::as_i64) != Some(WHITE) {
            findings.push(Finding::of_node(&note.name, "expected a white note"));
        }
        let count = words(content(note));
        if count >= SECTION_WORDS {
            findings.push(Finding::of_node(
                &note.name,
                format!("expected fewer than 50 words, found {count}"),
            ));
        }
    }
    if workflow.working().count() >= SECTIONS_FROM {
        let is_bare = |node: &&Node| {
            !white.iter().any(|note| Rectangle::of(note).holds(&Rectangle::of(node)))
        };
        let bare = workflow.working().filter(is_bare);
        findings.extend(
            bare.map(|node| Finding::of_node(&node.name, "expected a white note behind it")),
        );
    }
    findings
}

fn title(workflow: &Workflow) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !workflow.name.chars().all(|letter| letter.is_ascii_graphic() || letter == ' ') {
        findings.push(Finding::of_workflow("name: expected letters, digits and punctuation only"));
    }
    let count = words(&workflow.description);
    if !DESCRIPTION_WORDS.contains(&count) {
        findings.push(Finding::of_workflow(format!(
            "description: expected 120 to 250 words, found {count}"
        )));
    }
    findings
}

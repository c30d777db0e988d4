//! The lint finds faults that are planted into the exported workflows, and none in the workflows themselves.
#![expect(clippy::expect_used, reason = "a test that cannot go on must fail")]

use std::{fs, path::Path};

use mcp_batch_n8n_lint::{Catalog, lint};
use serde_json::{Value, json};

fn export(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(format!("{name}.json"));
    serde_json::from_str(&fs::read_to_string(path).expect("an export")).expect("JSON")
}

fn findings(workflow: &Value) -> Vec<String> {
    let catalog = Catalog::pinned().expect("the catalog");
    lint(&workflow.to_string(), &catalog).iter().map(ToString::to_string).collect()
}

/// What is found once `plant` has changed the node `name` of the workflow that fans out.
fn with_fault(name: &str, plant: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut workflow = export("fan-out-and-wait");
    let nodes = workflow["nodes"].as_array_mut().expect("nodes");
    plant(nodes.iter_mut().find(|node| node["name"] == name).expect("the node"));
    findings(&workflow)
}

#[track_caller]
fn expect(found: &[String], expected: &str) {
    assert!(found.iter().any(|finding| finding.contains(expected)), "{expected}: {found:#?}");
}

#[test]
fn the_exported_workflows_are_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seen = 0;
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path).expect("a file");
            assert_eq!(
                lint(&text, &Catalog::pinned().expect("the catalog")),
                [],
                "{}",
                path.display()
            );
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} workflows");
}

#[test]
fn an_unknown_type_or_version_is_found() {
    let found = with_fault("Config", |node| node["type"] = json!("n8n-nodes-base.sett"));
    expect(&found, "“Config”: n8n-nodes-base.sett in version 3.4 is not among");
    let found = with_fault("Config", |node| node["typeVersion"] = json!(99));
    expect(&found, "in version 99 is not among");
}

#[test]
fn an_unknown_parameter_is_found_at_every_level() {
    let found = with_fault("Jobs arrive", |node| node["parameters"]["pfad"] = json!("x"));
    expect(&found, "“Jobs arrive”: pfad: there is no such parameter");
    let found =
        with_fault("Send to SQS", |node| node["parameters"]["options"]["timeOut"] = json!(1));
    expect(&found, "options.timeOut: there is no such parameter");
    let found = with_fault("Send to SQS", |node| {
        node["parameters"]["headerParameters"]["parameters"][0]["nam"] = json!("x");
    });
    expect(&found, "headerParameters.parameters[0].nam: there is no such parameter");
}

#[test]
fn a_parameter_that_the_others_leave_no_place_for_is_found() {
    let found = with_fault("Send to SQS", |node| node["parameters"]["sendBody"] = json!(false));
    expect(&found, "jsonBody: the other parameters leave no place for it");
}

#[test]
fn a_missing_parameter_is_found() {
    let found = with_fault("Send to SQS", |node| {
        node["parameters"].as_object_mut().expect("parameters").remove("url");
    });
    expect(&found, "url: expected a value");
}

#[test]
fn a_choice_that_is_none_and_a_value_of_another_type_are_found() {
    let found =
        with_fault("Jobs arrive", |node| node["parameters"]["responseMode"] = json!("later"));
    expect(&found, "responseMode: expected one of");
    let found = with_fault("Sleep until all are done", |node| {
        node["parameters"]["resumeAmount"] = json!("24");
    });
    expect(&found, "resumeAmount: expected a number");
    let found = with_fault("Sleep until all are done", |node| {
        node["parameters"]["limitWaitTime"] = json!("yes");
    });
    expect(&found, "limitWaitTime: expected true or false");
}

#[test]
fn connections_that_lead_nowhere_are_found() {
    let mut workflow = export("fan-out-and-wait");
    workflow["connections"]["Config"]["main"][0][0]["node"] = json!("Nobody");
    let found = findings(&workflow);
    expect(&found, "“Config”: a connection leads to “Nobody”, which is no node");
    expect(&found, "“Check the jobs”: no trigger leads here");

    let mut workflow = export("fan-out-and-wait");
    let link = workflow["connections"]["To SQS?"]["main"][0].clone();
    workflow["connections"]["To SQS?"]["main"].as_array_mut().expect("outputs").push(link);
    expect(&findings(&workflow), "“To SQS?”: it has no output 2");
}

#[test]
fn two_nodes_of_one_name_are_found() {
    let found = with_fault("Answer 202", |node| node["name"] = json!("Config"));
    expect(&found, "“Config”: another node has its name or its id");
}

#[test]
fn credentials_and_what_is_pinned_or_of_an_instance_are_found() {
    let found = with_fault("Send to SQS", |node| {
        node["credentials"] = json!({"aws": {"id": "1", "name": "a"}});
    });
    expect(&found, "“Send to SQS”: credentials: expected none");
    let found = with_fault("Send to SQS", |node| node["disabled"] = json!(true));
    expect(&found, "disabled: expected all nodes at work");

    for (pointer, value, expected) in [
        ("/pinData", json!({"Config": [{"json": {}}]}), "pinData: expected none"),
        ("/staticData", json!({"told": 1}), "staticData: expected none"),
        ("/active", json!(true), "active: expected none"),
        ("/meta", json!({"instanceId": "x"}), "meta.instanceId: expected none"),
        ("/settings", json!({"errorWorkflow": "x"}), "settings.errorWorkflow"),
    ] {
        let mut workflow = export("fan-out-and-wait");
        *workflow.pointer_mut(pointer).expect("the field") = value;
        expect(&findings(&workflow), expected);
    }
}

#[test]
fn personal_data_is_found() {
    for (value, expected) in [
        ("https://n8n.corporation.io/webhook/x", "n8n.corporation.io is a real address"),
        ("AKIAIOSFODNN7EXAMPLE", "looks like a secret"),
        ("https://sqs.eu-central-1.amazonaws.com/998877665544/q", "an account number"),
        ("write to jane@corporation.io", "e-mail"),
    ] {
        let found = with_fault("Config", |node| {
            node["parameters"]["assignments"]["assignments"][0]["value"] = json!(value);
        });
        expect(&found, expected);
    }
}

#[test]
fn an_expression_that_refers_to_no_node_or_to_a_later_one_is_found() {
    let found = with_fault("Answer 400", |node| {
        node["parameters"]["responseBody"] = json!("={{ $('Konfig').first() }}");
    });
    expect(&found, "responseBody: there is no node “Konfig”");
    let found = with_fault("Check the jobs", |node| {
        node["parameters"]["jsCode"] = json!("$('Read the answers').all()");
    });
    expect(&found, "jsCode: “Read the answers” does not come before this node");
}

#[test]
fn an_expression_that_n8n_would_not_read_is_found() {
    let found = with_fault("Answer 400", |node| {
        node["parameters"]["responseBody"] = json!("{{ $json.content }}");
    });
    expect(&found, "responseBody: an expression begins with =");
    let found = with_fault("Answer 400", |node| {
        node["parameters"]["responseBody"] = json!("={{ {a: {b: 1}} }}");
    });
    expect(&found, "responseBody: 1 times {{ and 2 times }}");
}

#[test]
fn positions_that_overlap_are_found() {
    let place = export("fan-out-and-wait")["nodes"]
        .as_array()
        .and_then(|nodes| nodes.iter().find(|node| node["name"] == "Config"))
        .map(|node| node["position"].clone())
        .expect("its place");
    let found = with_fault("Check the jobs", |node| node["position"] = place);
    expect(&found, "“Config”: it overlaps “Check the jobs”");
    let found = with_fault("Config", |node| node["position"] = json!([100_000, 0]));
    expect(&found, "“Config”: expected a white note behind it");
}

#[test]
fn notes_that_break_the_rules_are_found() {
    let found =
        with_fault("Overview", |node| node["parameters"]["content"] = json!("### Setup\nShort."));
    expect(&found, "expected 100 to 300 words, found 2");
    expect(&found, "expected the heading ### How it works");
    let found =
        with_fault("Section 1", |node| node["parameters"]["content"] = json!("word ".repeat(50)));
    expect(&found, "expected fewer than 50 words, found 50");
    let found = with_fault("Section 1", |node| {
        node["parameters"].as_object_mut().expect("parameters").remove("color");
    });
    expect(&found, "expected one yellow note, found 2");
}

#[test]
fn what_is_no_workflow_is_said_to_be_none() {
    let catalog = Catalog::pinned().expect("the catalog");
    for text in ["", "{", "[]", "{\"nodes\": 1}"] {
        assert_eq!(lint(text, &catalog).len(), 1, "{text}");
    }
}

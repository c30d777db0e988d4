//! The tools of a server, as it lists them, with their schemas.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rmcp::{
    model::{
        CustomResult, ListToolsRequest, ListToolsResult, PaginatedRequestParams, ServerResult, Tool,
    },
    service::{Peer, RoleClient, ServiceError},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{settings::ServerSettings, unfolded};
use crate::{
    lease::Repeat,
    tool::{schema::Schema, words},
};

/// The most pages of a list that are read: a server may send one for ever.
const MAX_PAGES: usize = 100;

/// The most tools of a server.
const MAX_TOOLS: usize = 2_000;

/// The most bytes of a server's tools that are kept, as JSON has them.
const MAX_LIST_BYTES: usize = 16 * 1024 * 1024;

/// The most faults of a list that are kept.
const MAX_FAULTS: usize = 20;

/// The most of a tool's name that is told where it is no sound one, in characters.
const MAX_NAME_CHARS: usize = 64;

/// How long a list is used whose server does not say.
const FRESH: Duration = Duration::from_mins(5);

/// The longest a list is used.
const LONGEST_FRESH: Duration = Duration::from_hours(24);

/// A list is not asked for again before this, whatever the server or a job says.
const LEAST_AGE: Duration = Duration::from_secs(5);

/// How long an old list is used before it is asked for again, where that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// What a server lists, less what the catalog forbids.
#[derive(Debug)]
pub(super) struct ToolList {
    tools: Arc<BTreeMap<String, RemoteTool>>,
    /// The server lists more than is kept.
    is_cut: bool,
    /// What is wrong with single tools of it, so many at most.
    faults: Arc<Vec<String>>,
    read: Instant,
    fresh: Duration,
}

/// One of its tools.
#[derive(Debug)]
pub(super) struct RemoteTool {
    pub(super) tool: Tool,
    /// Compiled when it is first needed; `None` if it cannot be, and the server alone judges inputs.
    input: OnceLock<Result<Schema, String>>,
}

impl ToolList {
    /// Asks the server for all pages of its list.
    pub(super) async fn read(
        peer: &Peer<RoleClient>,
        server: &str,
        settings: &ServerSettings,
    ) -> Result<Self, ServiceError> {
        let mut tools = BTreeMap::new();
        let mut fresh = LONGEST_FRESH;
        let mut cursor = None;
        let mut bytes = 0;
        let mut is_cut = false;
        let mut faults = Vec::new();
        for _ in 0..MAX_PAGES {
            let request = ListToolsRequest {
                params: Some(PaginatedRequestParams::default().with_cursor(cursor.clone())),
                ..ListToolsRequest::default()
            };
            let page = match peer.send_request(request.into()).await? {
                ServerResult::ListToolsResult(page) => Some(page),
                ServerResult::CustomResult(CustomResult(page)) => {
                    sound_part(page, server, &mut faults)
                }
                _ => None,
            };
            let page = page.ok_or(ServiceError::UnexpectedResponse)?;
            fresh = fresh.min(page.ttl_ms.map_or(FRESH, Duration::from_millis));
            for tool in page.tools.into_iter().filter(|tool| settings.allows(&tool.name)) {
                bytes += serde_json::to_vec(&tool).map_or(0, |json| json.len());
                is_cut = bytes > MAX_LIST_BYTES || tools.len() == MAX_TOOLS;
                if is_cut {
                    break;
                }
                let name = tool.name.to_string();
                if let Some(earlier) = tools.insert(name, RemoteTool::new(tool)) {
                    let name = told(&earlier.tool.name);
                    faults.push(format!("its list has the tool {name} twice: the latter holds"));
                }
            }
            // Some write an empty one where there is none. Who gives the same again has no other page.
            let next = page.next_cursor.filter(|next| !next.is_empty());
            is_cut |= next.is_some() && next == cursor;
            cursor = next;
            if cursor.is_none() || is_cut {
                break;
            }
        }
        let is_cut = is_cut || cursor.is_some();
        if is_cut {
            tracing::warn!(server, tools = tools.len(), "a server's list of tools is cut off");
        }
        let fresh = fresh.max(LEAST_AGE);
        faults.truncate(MAX_FAULTS);
        let (tools, faults) = (Arc::new(tools), Arc::new(faults));
        Ok(Self { tools, is_cut, faults, read: Instant::now(), fresh })
    }

    /// The same list, to be used although it is old.
    pub(super) fn used_a_while_longer(&self) -> Self {
        let (tools, faults) = (Arc::clone(&self.tools), Arc::clone(&self.faults));
        let (read, fresh) = (Instant::now(), AFTER_FAILURE);
        Self { tools, is_cut: self.is_cut, faults, read, fresh }
    }

    /// Says so if the server lists more than is kept.
    pub(super) fn cut_off(&self) -> Option<String> {
        self.is_cut.then(|| {
            format!(
                "its list of tools is too long and was cut off after {}: jobs cannot call the \
                 others (allow, of the server in the catalog, keeps out what nobody needs)",
                self.tools.len()
            )
        })
    }

    /// What is wrong with single tools of it: those that cannot be read, and those of one name.
    pub(super) fn faults(&self) -> &[String] {
        &self.faults
    }

    pub(super) fn get(&self, name: &str) -> Option<&RemoteTool> {
        self.tools.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RemoteTool> {
        self.tools.values()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// Whether it may be used without asking again.
    pub(super) fn is_fresh(&self) -> bool {
        self.read.elapsed() < self.fresh
    }

    /// Whether it is so young that asking again would bring the same.
    pub(super) fn is_new(&self) -> bool {
        self.read.elapsed() < LEAST_AGE
    }
}

/// A page that is none of the protocol's because of single tools or of what stands beside them, without
/// those.
fn sound_part(mut page: Value, server: &str, faults: &mut Vec<String>) -> Option<ListToolsResult> {
    let page = page.as_object_mut()?;
    page.retain(|name, member| match name.as_str() {
        "tools" => true,
        "nextCursor" => member.is_string(),
        "ttlMs" => member.is_u64(),
        _ => false,
    });
    page.get_mut("tools")?.as_array_mut()?.retain(|tool| {
        let is_sound = Tool::deserialize(tool).is_ok();
        if !is_sound {
            let name = tool.get("name").and_then(Value::as_str).unwrap_or("without a name");
            let tool = told(name);
            faults.push(format!("a tool of its list cannot be read and is left out: {tool}"));
            tracing::warn!(
                server,
                ?tool,
                "a tool of a server's list cannot be read: it is left out"
            );
        }
        is_sound
    });
    serde_json::from_value(Value::Object(mem::take(page))).ok()
}

/// A name as a server wrote it, bounded.
fn told(name: &str) -> String {
    words::on_one_line(name).take(MAX_NAME_CHARS).collect()
}

impl RemoteTool {
    fn new(tool: Tool) -> Self {
        Self { tool, input: OnceLock::new() }
    }

    /// The schema of its input; the error says why it cannot be used.
    pub(super) fn input(&self) -> Result<&Schema, &str> {
        let compile = || {
            let schema = Value::Object((*self.tool.input_schema).clone());
            unfolded::problem(&schema).map_or_else(|| Schema::compile(schema), Err)
        };
        self.input.get_or_init(compile).as_ref().map_err(String::as_str)
    }

    /// What its own annotations say about calling it again. Without any, nothing is safe.
    pub(super) fn repeat(&self) -> Repeat {
        let annotations = self.tool.annotations.as_ref();
        let is_safe = annotations.is_some_and(|hints| {
            hints.read_only_hint == Some(true) || hints.idempotent_hint == Some(true)
        });
        if is_safe { Repeat::Safe } else { Repeat::Never }
    }
}

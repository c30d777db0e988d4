//! Who may use the HTTP face, and for what, as the entries of a setting say: by a key, or by a token.

use std::collections::HashSet;

use crate::job::Namespace;

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// To send jobs, to close batches, to cancel.
    Enqueue,
    /// To see jobs, batches and results.
    Read,
    /// To call tools at once.
    Call,
    /// To decide about held jobs.
    Admin,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Enqueue, Self::Read, Self::Call, Self::Admin];

    /// The scope's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Read => "read",
            Self::Call => "call",
            Self::Admin => "admin",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// What somebody may do: `name:namespace:scope+scope`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// For people: whose it is.
    pub name: String,
    /// Whose jobs these are; it sees no others.
    pub namespace: Namespace,
    /// What it allows.
    pub scopes: HashSet<Scope>,
}

impl Grant {
    /// The grant of an entry, and what stands behind it.
    pub(super) fn of_entry(entry: &str) -> Result<(Self, &str), &'static str> {
        let parts: Vec<_> = entry.splitn(4, ':').collect();
        let [name, namespace, scopes, proof] = parts[..] else { return Err("fewer parts") };
        if name.is_empty() {
            return Err("no name");
        }
        let scopes = scopes.split('+').map(|scope| Scope::parse(scope).ok_or("an unknown scope"));
        let grant = Self {
            name: name.to_owned(),
            namespace: namespace.parse().map_err(|_| "no namespace")?,
            scopes: scopes.collect::<Result<_, _>>()?,
        };
        Ok((grant, proof))
    }
}

/// What stands between spaces and commas, each read by `read`, and no name twice; nor what `clash` says
/// of two of them. The error says in which entry, counted from 1.
pub(super) fn entries<T>(
    text: &str,
    read: impl Fn(&str) -> Result<T, &'static str>,
    grant_of: impl Fn(&T) -> &Grant,
    clash: impl Fn(&T, &T) -> Option<&'static str>,
) -> Result<Vec<T>, String> {
    let is_between = |c: char| c == ',' || c.is_whitespace();
    let mut all: Vec<T> = Vec::new();
    for (at, entry) in (1..).zip(text.split(is_between).filter(|entry| !entry.is_empty())) {
        let judged = read(entry).and_then(|one| {
            if all.iter().any(|other| grant_of(other).name == grant_of(&one).name) {
                return Err("a name used twice");
            }
            all.iter().find_map(|other| clash(other, &one)).map_or(Ok(one), Err)
        });
        all.push(judged.map_err(|found| format!("{found} in entry {at}"))?);
    }
    Ok(all)
}

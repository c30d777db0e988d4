//! How near each sentence stands to all others.

use super::candidate::Candidate;

/// How much of a sentence's rank comes from its neighbours', as in `PageRank`.
const DAMPING: f64 = 0.85;
/// Ranks change in the fourth digit by then.
const ROUNDS: usize = 25;

/// The cosine of each two sentences, a row for each. A sentence is no neighbour of itself.
pub(super) fn similarities(candidates: &[Candidate<'_>]) -> Vec<Vec<f64>> {
    let against_all = |(at, one): (usize, &Candidate<'_>)| {
        let others = candidates.iter().enumerate();
        others
            .map(|(other, b)| if at == other { 0.0 } else { cosine(&one.terms, &b.terms) })
            .collect()
    };
    candidates.iter().enumerate().map(against_all).collect()
}

fn cosine(one: &[(usize, f64)], other: &[(usize, f64)]) -> f64 {
    let mut others = other.iter().peekable();
    let product = |(term, weight): &(usize, f64)| {
        while others.next_if(|(theirs, _)| theirs < term).is_some() {}
        others.peek().filter(|(theirs, _)| theirs == term).map_or(0.0, |(_, their)| weight * their)
    };
    one.iter().map(product).sum()
}

/// The chance to be met on a walk from sentence to similar sentence: `PageRank`, up to a factor.
pub(super) fn centrality(similarity: &[Vec<f64>]) -> Vec<f64> {
    let degrees: Vec<f64> = similarity.iter().map(|row| row.iter().sum()).collect();
    let mut ranks = vec![1.0; similarity.len()];
    for _ in 0..ROUNDS {
        let hand_on =
            |(rank, degree): (&f64, &f64)| if *degree > 0.0 { rank / degree } else { 0.0 };
        let shares: Vec<f64> = ranks.iter().zip(&degrees).map(hand_on).collect();
        let receive = |row: &Vec<f64>| row.iter().zip(&shares).map(|(a, b)| a * b).sum::<f64>();
        ranks = similarity.iter().map(|row| 1.0 - DAMPING + DAMPING * receive(row)).collect();
    }
    ranks
}

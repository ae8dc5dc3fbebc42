//! Did you mean: which known word is nearest to the one that was written.

/// The candidate nearest to `word`, where one is near enough to be meant: at most one slip in three letters. A slip is a letter
/// added, lost or changed, or two that changed places; another letter case counts least.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 2 * (word.chars().count() / 3).clamp(1, 3);
    let letters = letters(word);
    // A slip takes one letter away and adds one at most: this is told sooner than how far two words are apart.
    let may_be_near = |candidate: &&'a str| (letters ^ self::letters(candidate)).count_ones() as usize <= limit;
    let near = |candidate: &'a str| Some((distance(word, candidate, limit)?, candidate));
    let candidates = candidates.into_iter().filter(may_be_near).filter_map(near);
    candidates.min_by_key(|(slips, _)| *slips).map(|(_, candidate)| candidate)
}

/// Whether one slip makes one word the other.
pub fn differ_by_one(word: &str, other: &str) -> bool {
    word != other && distance(word, other, 2).is_some()
}

/// A bit for each letter that a word has, whatever its case.
fn letters(word: &str) -> u32 {
    word.chars().fold(0, |letters, letter| letters | 1 << (letter as u32 % 32))
}

/// Twice the number of slips, and one for each letter in another case; none where it is over the limit.
fn distance(word: &str, candidate: &str, limit: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (word.chars().collect(), candidate.chars().collect());
    if a.len().abs_diff(b.len()) * 2 > limit {
        return None;
    }
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).map(|length| 2 * length).collect();
    for i in 1..=a.len() {
        let mut row = vec![2 * i; b.len() + 1];
        for j in 1..=b.len() {
            let mut least = (last[j] + 2).min(row[j - 1] + 2).min(last[j - 1] + change(a[i - 1], b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 2);
            }
            row[j] = least;
        }
        before = std::mem::replace(&mut last, row);
    }
    Some(last[b.len()]).filter(|&slips| slips <= limit)
}

fn change(a: char, b: char) -> usize {
    match a == b {
        true => 0,
        false if a.eq_ignore_ascii_case(&b) => 1,
        false => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = ["server", "server_name", "proxy_pass", "listen", "root", "proxy_set_header"];

    #[test]
    fn slips_are_forgiven() {
        for (word, meant) in [
            ("sever_name", "server_name"),
            ("Server", "server"),
            ("prox_pass", "proxy_pass"),
            ("proxy_passs", "proxy_pass"),
            ("lsiten", "listen"),
            ("rot", "root"),
            ("proxy-set-header", "proxy_set_header"),
        ] {
            assert_eq!(closest(word, NAMES), Some(meant), "{word}");
        }
    }

    #[test]
    fn other_words_are_left_alone() {
        for word in ["", "x", "RewriteEngine", "brotli", "fastcgi_pass"] {
            assert_eq!(closest(word, NAMES), None, "{word}");
        }
    }

    #[test]
    fn the_nearest_wins() {
        assert_eq!(closest("serve", ["serves", "server", "Serve"]), Some("Serve"));
    }
}

//! The sentences of a verdict.

/// The sentences in one line for a program, or one a line for a person.
pub(crate) fn joined(sentences: &[String], is_json: bool) -> String {
    let text = sentences.join(if is_json { ". " } else { ".\n" });
    if sentences.len() > 1 { text + "." } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_gets_a_line_for_each() {
        let two = ["even".to_owned(), "Not sticky".to_owned()];
        assert_eq!(joined(&two, true), "even. Not sticky.");
        assert_eq!(joined(&two, false), "even.\nNot sticky.");
        assert_eq!(joined(&two[..1], false), "even");
    }
}

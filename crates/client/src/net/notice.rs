//! Events that are logged only when they change.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::info;

/// An event that is mostly the same for each connection, and is logged when it changes. Clones
/// share the last text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notice {
    last: Arc<Mutex<String>>,
    is_silent: bool,
}

impl Notice {
    /// A notice that is never logged, for a caller that reports the change itself.
    pub(crate) fn silent() -> Self {
        Self { is_silent: true, ..Self::default() }
    }

    /// Logs `text`, unless it is the last logged text.
    pub(crate) fn log(&self, text: &str) {
        if self.is_news(text) && !self.is_silent {
            info!("{text}");
        }
    }

    fn is_news(&self, text: &str) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *last != text;
        if is_news {
            text.clone_into(&mut last);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_news_until_it_changes() {
        let notice = Notice::default();
        let other = notice.clone();
        let news = [("a", true), ("a", false), ("b", true), ("a", true)];
        for (text, is_news) in news {
            assert_eq!(notice.is_news(text), is_news, "{text}");
            assert!(!other.is_news(text), "{text}");
        }
    }
}

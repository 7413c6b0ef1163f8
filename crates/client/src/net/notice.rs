//! News that each connection may bring, told once.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::info;

/// Something to tell that is mostly the same at each connection. Clones share what was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notice {
    told: Arc<Mutex<String>>,
    is_silent: bool,
}

impl Notice {
    /// A notice that tells nothing, for a caller who finds out by other means.
    pub(crate) fn silent() -> Self {
        Self { is_silent: true, ..Self::default() }
    }

    /// Tells `text`, unless that was told last.
    pub(crate) fn tell(&self, text: &str) {
        if self.is_news(text) && !self.is_silent {
            info!("{text}");
        }
    }

    fn is_news(&self, text: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *told != text;
        if is_news {
            text.clone_into(&mut told);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_until_it_changes() {
        let notice = Notice::default();
        let other = notice.clone();
        let news = [("a", true), ("a", false), ("b", true), ("a", true)];
        for (text, is_news) in news {
            assert_eq!(notice.is_news(text), is_news, "{text}");
            assert!(!other.is_news(text), "{text}");
        }
    }
}

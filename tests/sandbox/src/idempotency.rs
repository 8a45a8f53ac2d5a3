//! The answers that idempotency keys stand for: the first finished one is kept and given again, a stored 500 included.
//!
//! Not here: which answers never come this far (401, 429, malformed requests), see `routes` and `state`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::answer::Answer;
use crate::limits;

/// An `Idempotency-Key` and what it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) text: String,
    /// Of the route and its parameters.
    pub(crate) fingerprint: [u8; 32],
}

/// What is known about a key.
#[derive(Debug)]
pub(crate) enum Known {
    Nothing,
    /// The key belongs to another request.
    Other,
    InFlight,
    Finished(Answer),
}

#[derive(Debug)]
struct Stored {
    fingerprint: [u8; 32],
    /// `None` while the first request is under way.
    answer: Option<Answer>,
}

/// All keys, the oldest forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    by_key: HashMap<Arc<str>, Stored>,
    order: VecDeque<Arc<str>>,
}

impl Answers {
    pub(crate) fn look_up(&self, key: &Key) -> Known {
        match self.by_key.get(key.text.as_str()) {
            None => Known::Nothing,
            Some(stored) if stored.fingerprint != key.fingerprint => Known::Other,
            Some(stored) => stored.answer.clone().map_or(Known::InFlight, Known::Finished),
        }
    }

    /// The first request with this key is under way.
    pub(crate) fn begin(&mut self, key: &Key) {
        self.put(key, None);
    }

    pub(crate) fn finish(&mut self, key: &Key, answer: Answer) {
        self.put(key, Some(answer));
    }

    pub(crate) fn forget_all(&mut self) {
        self.by_key.clear();
        self.order.clear();
    }

    fn put(&mut self, key: &Key, answer: Option<Answer>) {
        if let Some(stored) = self.by_key.get_mut(key.text.as_str()) {
            stored.answer = answer;
            return;
        }
        if self.order.len() >= limits::STORED_ANSWERS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_key.remove(&oldest);
        }
        let text: Arc<str> = key.text.as_str().into();
        self.order.push_back(Arc::clone(&text));
        self.by_key.insert(text, Stored { fingerprint: key.fingerprint, answer });
    }
}

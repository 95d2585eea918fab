//! Chat states (XEP-0085 §4): what somebody does in a conversation. Other protocols know whether they type.

/// See the module's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChatState {
    /// Attentive.
    Active,
    /// Typing.
    Composing,
    /// Stopped typing.
    Paused,
    /// Not attentive.
    Inactive,
    /// Left.
    Gone,
}

impl ChatState {
    const ALL: [Self; 5] = [Self::Active, Self::Composing, Self::Paused, Self::Inactive, Self::Gone];

    /// The state of who types, or has stopped to.
    #[must_use]
    pub fn of(on: bool) -> Self {
        if on { Self::Composing } else { Self::Paused }
    }

    /// The name of its element.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Composing => "composing",
            Self::Paused => "paused",
            Self::Inactive => "inactive",
            Self::Gone => "gone",
        }
    }

    /// The state whose element has this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether they type.
    #[must_use]
    pub fn is_typing(self) -> bool {
        self == Self::Composing
    }
}

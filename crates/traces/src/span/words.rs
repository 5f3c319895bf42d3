use crate::Invalid;
use crate::error::shown;

/// Declares a closed set of words: how they are written, and read in any case, with or without their prefix.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $field:literal, $prefix:literal { $($(#[$each:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub enum $name { $($(#[$each])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => concat!($prefix, $word),)+ }
            }

            /// Finds it by its word, in any case, with or without its prefix.
            #[must_use]
            pub fn named(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| {
                    let word = one.as_str();
                    text.eq_ignore_ascii_case(word) || text.eq_ignore_ascii_case(&word[$prefix.len()..])
                })
            }

            /// Finds it by its word, or says which there are.
            pub fn read(text: &str, place: &str) -> Result<Self, Invalid> {
                Self::named(text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|one| one.as_str()).collect();
                    Invalid::at(place, format!("`{}` is no {}", shown(text), $field), format!("there are {}", known.join(", ")))
                })
            }
        }
    };
}

words! {
    /// What a trace is.
    TraceType, "trace_type", "" {
        /// An application ran.
        Invocation = "invocation",
        /// Somebody judged an invocation.
        Annotation = "annotation",
        /// Nothing is known.
        #[default] Unknown = "unknown",
    }
}

words! {
    /// What a span does.
    SpanType, "span_type", "" {
        /// An agent.
        Agent = "agent",
        /// Steps after each other.
        Chain = "chain",
        /// Steps as a whole.
        Workflow = "workflow",
        /// One step.
        #[default] Task = "task",
        /// A tool was called.
        Tool = "tool",
        /// Texts became vectors.
        Embedding = "embedding",
        /// Something was looked up.
        Query = "query",
        /// A model was asked, nothing more is known.
        Llm = "llm",
        /// A model went on with a text.
        Completion = "completion",
        /// A model answered in a conversation.
        Chat = "chat",
        /// Found things were put in order.
        Rerank = "rerank",
        /// Nothing is known.
        Unknown = "unknown",
    }
}

words! {
    /// OpenTelemetry's kind of span.
    SpanKind, "span_kind", "SPAN_KIND_" {
        /// Nothing is known.
        #[default] Unspecified = "UNSPECIFIED",
        /// Within one process.
        Internal = "INTERNAL",
        /// A request was answered.
        Server = "SERVER",
        /// A request was sent.
        Client = "CLIENT",
        /// A message was sent.
        Producer = "PRODUCER",
        /// A message was taken.
        Consumer = "CONSUMER",
    }
}

words! {
    /// OpenTelemetry's status.
    StatusCode, "status_code", "STATUS_CODE_" {
        /// Nobody said.
        #[default] Unset = "UNSET",
        /// It went well.
        Ok = "OK",
        /// It failed.
        Error = "ERROR",
    }
}

use super::Span;
use crate::Json;

impl Span {
    /// Returns it as clients know it; what it lacks is left out.
    #[must_use]
    pub fn json(&self) -> Json {
        let exception = self.exceptions().next();
        let optional = [
            ("parent_id", self.parent_id.map(|id| Json::text(id.to_string()))),
            ("trace_type", self.trace_type.map(|word| Json::text(word.as_str()))),
            ("span_type", self.span_type.map(|word| Json::text(word.as_str()))),
            ("status_message", self.status_message.as_deref().map(Json::text)),
            ("session_id", self.session_id.as_deref().map(Json::text)),
            ("user_id", self.user_id.as_deref().map(Json::text)),
            ("agent_id", self.agent_id.as_deref().map(Json::text)),
            ("references", list(&self.references)),
            ("links", list(&self.links)),
            ("hashes", list(&self.hashes)),
            ("events", list(&self.events)),
            ("exception", exception.cloned()),
            ("updated_at", self.lifecycle.updated_at.map(|time| Json::text(time.to_string()))),
            ("deleted_at", self.lifecycle.deleted_at.map(|time| Json::text(time.to_string()))),
            ("created_by_id", self.lifecycle.created_by_id.map(|id| Json::text(id.to_string()))),
            ("updated_by_id", self.lifecycle.updated_by_id.map(|id| Json::text(id.to_string()))),
            ("deleted_by_id", self.lifecycle.deleted_by_id.map(|id| Json::text(id.to_string()))),
        ];
        let always = [
            ("trace_id", Json::text(self.trace_id.to_string())),
            ("span_id", Json::text(self.span_id.to_string())),
            ("span_kind", Json::text(self.span_kind.as_str())),
            ("span_name", Json::text(self.span_name.as_str())),
            ("start_time", Json::text(self.start_time.to_string())),
            ("end_time", Json::text(self.end_time.to_string())),
            ("status_code", Json::text(self.status_code.as_str())),
            ("attributes", Json::Object(self.attributes.clone())),
            ("created_at", Json::text(self.lifecycle.created_at.to_string())),
        ];
        let told = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Json::object(always.into_iter().chain(told))
    }
}

fn list(elements: &[Json]) -> Option<Json> {
    (!elements.is_empty()).then(|| Json::List(elements.to_vec()))
}

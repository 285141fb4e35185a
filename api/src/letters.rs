//! Dead letters one by one, as they wait in their queue.
//!
//! They are taken, looked at, and go back when the connection ends: so one request at a time looks,
//! as two would see each other's absence.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use contracts::answers::Letters;
use ingress::amqp::look_at_dead_letters;

use crate::Api;
use crate::params::Params;
use crate::problem::Problem;

/// Letters in an answer. Each that is passed over is taken, too.
const LETTERS: usize = 20;
const MAX_LETTERS: usize = 100;

/// What the broker shows of us.
const NAME: &str = "observatory api, dead letters";

pub(crate) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Json<Letters>, Problem> {
    let params = Params::of(&uri, &["reason", "limit"])?;
    let limit = params.limit(LETTERS, MAX_LETTERS)?;
    let Some(broker) = &api.app.broker else { return Ok(Json(Letters::default())) };
    let _turn = api.letters.lock().await;
    let seen = look_at_dead_letters(broker, NAME, params.text("reason"), limit).await;
    let (in_queue, letters) = seen.map_err(|fault| {
        tracing::warn!(%fault, "cannot look at the dead letters");
        let detail = "the broker can not be asked for its dead letters now: see that it runs";
        Problem::new(StatusCode::BAD_GATEWAY, "broker_away", detail)
    })?;
    Ok(Json(Letters { in_queue, letters }))
}

//! What the rest of the shell hands to the single writer, and what it gets back.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::domain::actor::Actor;
use crate::domain::decision::Decision;
use crate::domain::facts::Facts;
use crate::engine::command::{Answer, Body, Housekeep, OpenAccount, Opened};
use crate::engine::state::State;

use super::clock::Tick;
use super::io_threads::Home;

/// Whether what an order was given for is as it was then.
pub type Still = Arc<dyn Fn(&State) -> bool + Send + Sync>;

/// Work for the single writer.
pub enum Job {
    /// Requests of one connection, as many as one read brought.
    Requests {
        /// In order of arrival.
        requests: Vec<SequencerRequest>,
        /// Where the answers go. It has room for every request in flight, so it is never full.
        replies: ReplyTo,
    },
    /// Accounts to open.
    Open {
        /// In order.
        accounts: Vec<OpenAccount>,
        /// Who ordered it, if somebody did.
        by: Option<Actor>,
        /// Where the outcomes go, once durable.
        opened: oneshot::Sender<Vec<Opened>>,
    },
    /// One command of the operator or of the switch itself.
    Command {
        /// What is asked.
        body: Body,
        /// Who ordered it, if somebody did.
        by: Option<Actor>,
        /// When it is carried out; else the answer is that something has changed.
        still: Option<Still>,
        /// Where the answer goes, once durable.
        answered: oneshot::Sender<Answer>,
    },
    /// Something to read from a durable state. It holds up decisions while it runs.
    Query(Box<dyn FnOnce(&State) + Send>),
    /// The passing of time.
    Housekeep(Housekeep),
    /// A batch has become durable beside the deciding of the next.
    Committed,
    /// The end: what was handed over before is done, nothing after.
    Stop,
}

/// Where answers go.
pub struct ReplyTo {
    /// The connection's end.
    pub connection: mpsc::Sender<Vec<SequencerReply>>,
    /// The thread that serves it; `None`: none of ours does.
    pub home: Option<Arc<Home>>,
}

/// One request about a card.
pub struct SequencerRequest {
    /// The connection's own number for it.
    pub slot: usize,
    /// What it says.
    pub facts: Arc<Facts>,
    /// When it was handed over.
    pub submitted: Tick,
}

/// The answer to one request.
pub struct SequencerReply {
    /// The connection's own number for the request.
    pub slot: usize,
    /// What the request said.
    pub facts: Arc<Facts>,
    /// What was decided; durable.
    pub decision: Box<Decision>,
    /// When it was handed over.
    pub submitted: Tick,
    /// When it was taken up.
    pub sequenced: Tick,
    /// When it was decided and applied.
    pub decided: Tick,
    /// When its batch was durable.
    pub durable: Tick,
}

/// A handle for handing work to the single writer.
#[derive(Clone)]
pub struct Jobs {
    queue: mpsc::Sender<Job>,
    by: Option<Actor>,
    still: Option<Still>,
}

/// The single writer is gone; the process is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the switch is stopping")]
pub struct Stopping;

impl Jobs {
    /// A bounded queue of jobs.
    pub fn channel(queue_max: usize) -> (Jobs, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(queue_max);
        let jobs = Jobs {
            queue: sender,
            by: None,
            still: None,
        };
        (jobs, receiver)
    }

    /// The same for somebody: what is ordered through it has that name in the journal.
    #[must_use]
    pub fn acting(mut self, by: Actor) -> Jobs {
        self.by = Some(by);
        self
    }

    /// Who orders through it, if somebody does.
    pub fn by(&self) -> Option<&Actor> {
        self.by.as_ref()
    }

    /// The same under a condition: the single writer carries a command out only when it holds then.
    #[must_use]
    pub fn while_still(mut self, still: Still) -> Jobs {
        self.still = Some(still);
        self
    }

    /// Jobs that wait, and how many may.
    pub fn depth(&self) -> (usize, usize) {
        let most = self.queue.max_capacity();
        (most.saturating_sub(self.queue.capacity()), most)
    }

    /// A handle that does not keep the queue open.
    pub(super) fn downgrade(&self) -> mpsc::WeakSender<Job> {
        self.queue.downgrade()
    }

    /// Hands a job over; waits while the queue is full.
    ///
    /// # Errors
    /// [`Stopping`] when nobody will do it.
    pub async fn submit(&self, job: Job) -> Result<(), Stopping> {
        self.queue.send(job).await.map_err(|_| Stopping)
    }

    /// Has one command executed and waits until its effect is durable.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn command(&self, body: Body) -> Result<Answer, Stopping> {
        let answer = self.order(body).await?;
        answer.await.map_err(|_| Stopping)
    }

    /// Puts one command into the queue; its answer comes when its effect is durable.
    async fn order(&self, body: Body) -> Result<oneshot::Receiver<Answer>, Stopping> {
        let (answered, answer) = oneshot::channel();
        let job = Job::Command {
            body,
            by: self.by,
            still: self.still.clone(),
            answered,
        };
        self.submit(job).await?;
        Ok(answer)
    }

    /// Has commands executed one after the other, as few batches as possible, and waits until the
    /// effect of all is durable. The answers come in their order.
    ///
    /// # Errors
    /// [`Stopping`]; some of them may have been executed then.
    pub async fn commands(&self, bodies: Vec<Body>) -> Result<Vec<Answer>, Stopping> {
        let mut waiting = Vec::with_capacity(bodies.len());
        for body in bodies {
            waiting.push(self.order(body).await?);
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for answer in waiting {
            answers.push(answer.await.map_err(|_| Stopping)?);
        }
        Ok(answers)
    }

    /// Opens accounts and waits until that is durable.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn open(&self, accounts: Vec<OpenAccount>) -> Result<Vec<Opened>, Stopping> {
        let (opened, outcomes) = oneshot::channel();
        let by = self.by;
        let job = Job::Open {
            accounts,
            by,
            opened,
        };
        self.submit(job).await?;
        outcomes.await.map_err(|_| Stopping)
    }

    /// Reads something from a durable state.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn query<T: Send + 'static>(
        &self,
        read: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        let (sender, answer) = oneshot::channel();
        let query = Box::new(move |state: &State| {
            // Who asked may have gone.
            let _ = sender.send(read(state));
        });
        self.submit(Job::Query(query)).await?;
        answer.await.map_err(|_| Stopping)
    }
}

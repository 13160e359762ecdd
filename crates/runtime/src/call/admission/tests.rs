use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn who_gets_in(admission: &Admission) -> Vec<Class> {
    Class::ALL.into_iter().filter(|class| admission.check(*class).is_ok()).collect()
}

#[test]
fn strangers_are_refused_before_lists_before_creates_before_reads_before_answers() {
    let admission = Admission::new(100);
    let mut held = Vec::new();
    let mut left = Class::ALL.to_vec();
    let mut refused = Vec::new();
    while !left.is_empty() {
        let now = who_gets_in(&admission);
        refused.extend(left.iter().filter(|class| !now.contains(class)).map(|class| (*class, held.len())));
        left = now;
        held.extend(admission.enter(Class::Answer));
    }
    let expected = [(Class::Anonymous, 50), (Class::List, 60), (Class::Create, 75), (Class::Read, 90), (Class::Answer, 100)];
    assert_eq!(refused, expected);
    assert_eq!(admission.enter(Class::Answer).unwrap_err(), Overloaded);
    // And they are admitted again in the opposite order.
    held.truncate(89);
    assert_eq!(who_gets_in(&admission), [Class::Read, Class::Answer]);
    held.clear();
    assert_eq!(who_gets_in(&admission), Class::ALL);
}

#[test]
fn a_limit_that_falls_refuses_those_who_fill_it_and_not_who_comes_before_them() {
    let admission = Admission::new(1_000);
    let strangers: Vec<_> = (0..500).map(|_| admission.enter(Class::Anonymous).unwrap()).collect();
    admission.state().limit = 100;
    assert_eq!(who_gets_in(&admission), [Class::List, Class::Create, Class::Read, Class::Answer]);
    let lists: Vec<_> = (0..10).map(|_| admission.enter(Class::List).unwrap()).collect();
    assert_eq!(who_gets_in(&admission), [Class::Create, Class::Read, Class::Answer], "the strangers have half, the lists a tenth");
    let answers: Vec<_> = (0..40).map(|_| admission.enter(Class::Answer).unwrap()).collect();
    assert_eq!(admission.enter(Class::Answer).unwrap_err(), Overloaded);
    drop((strangers, lists));
    assert_eq!(who_gets_in(&admission), Class::ALL);
    drop(answers);
}

#[tokio::test]
async fn a_place_is_free_when_the_answer_is_written_and_not_when_it_is_made() {
    let admission = Admission::new(1);
    let response = admission.enter(Class::Answer).unwrap().hold(Response::new(Body::from("answer")));
    assert_eq!(admission.enter(Class::Answer).unwrap_err(), Overloaded);
    assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), "answer");
    let given_up = admission.enter(Class::Answer).unwrap().hold(Response::new(Body::from("answer")));
    drop(given_up);
    admission.check(Class::Answer).unwrap();
}

#[test]
fn answers_that_nobody_takes_keep_no_place_of_those_who_work() {
    let admission = Admission::new(100);
    admission.state().limit = 10;
    let untaken: Vec<_> = (0..49).map(|_| admission.enter(Class::List).unwrap().hold(Response::new(Body::from("answer")))).collect();
    admission.check(Class::List).unwrap();
    let working: Vec<_> = (0..10).map(|_| admission.enter(Class::Answer).unwrap()).collect();
    assert_eq!(admission.enter(Class::Answer).unwrap_err(), Overloaded);
    drop((untaken, working));
    let state = admission.state();
    assert_eq!((state.open, state.working), (ByClass::default(), ByClass::default()));
}

#[tokio::test(start_paused = true)]
async fn a_phone_waits_for_a_permit_and_is_refused_when_none_is_free_in_time() {
    let admission = Admission::new(2);
    let held = [admission.enter(Class::Answer).unwrap(), admission.enter(Class::Answer).unwrap()];
    assert_eq!(admission.enter_soon(Class::Anonymous).await.unwrap_err(), Overloaded);
    let waits = tokio::spawn({
        let admission = admission.clone();
        async move { admission.enter_soon(Class::Anonymous).await.is_ok() }
    });
    tokio::task::yield_now().await;
    assert_eq!(admission.state().queued.all(), 1);
    drop(held);
    assert!(waits.await.unwrap());
    assert_eq!(admission.state().queued, ByClass::default());
    assert_eq!(admission.state().working, ByClass::default());
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_admitted_in_the_order_of_their_classes_and_all_that_find_a_permit() {
    let admission = Admission::new(20);
    let held: Vec<_> = (0..20).map(|_| admission.enter(Class::Answer).unwrap()).collect();
    let (order, mut admitted) = tokio::sync::mpsc::channel(4);
    for class in [Class::Anonymous, Class::Read, Class::Anonymous, Class::Answer] {
        let (admission, order) = (admission.clone(), order.clone());
        tokio::spawn(async move {
            let permit = admission.enter_soon(class).await.unwrap();
            order.send((class, permit)).await.unwrap();
        });
        tokio::task::yield_now().await;
    }
    drop(held);
    let mut classes = Vec::new();
    let mut permits = Vec::new();
    for _ in 0..4 {
        let (class, permit) = admitted.recv().await.unwrap();
        classes.push(class);
        permits.push(permit);
    }
    assert_eq!(classes, [Class::Answer, Class::Read, Class::Anonymous, Class::Anonymous]);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_the_permit_to_the_next_and_no_more_wait_than_fit() {
    let admission = Admission::new(1);
    let held = admission.enter(Class::Answer).unwrap();
    let wait = || {
        let admission = admission.clone();
        tokio::spawn(async move { admission.enter_soon(Class::Read).await.is_ok() })
    };
    let [first, second] = [wait(), wait()];
    tokio::task::yield_now().await;
    // Notified and ended before it runs again.
    drop(held);
    first.abort();
    assert!(second.await.unwrap());
    let held = admission.enter(Class::Answer).unwrap();
    let waiting: Vec<_> = (0..QUEUED).map(|_| wait()).collect();
    while admission.state().queued.all() < QUEUED {
        tokio::task::yield_now().await;
    }
    assert_eq!(admission.enter_soon(Class::Answer).await.unwrap_err(), Overloaded, "refused at once");
    assert_eq!(admission.state().queued.all(), QUEUED);
    drop(held);
    for waits in waiting {
        assert!(waits.await.unwrap(), "each gets the permit of the one before");
    }
    assert_eq!(admission.state().queued, ByClass::default());
}

/// The limit after windows in which `at_once` requests were processed at a time and responses took `took`.
fn limit_after(state: &mut State, windows: u32, at_once: usize, took: Duration) -> usize {
    let mut now = state.window.since;
    for _ in 0..windows {
        state.window.peak = at_once;
        now += WINDOW;
        for _ in 0..ENOUGH {
            state.answered(took, now);
        }
    }
    state.limit
}

#[test]
fn the_limit_falls_where_answers_take_long_and_rises_where_they_do_not() {
    let (soon, late) = (TARGET.saturating_sub(MILLISECOND), TARGET + MILLISECOND);
    let window = Window { since: Instant::now(), answered: 0, late: 0, peak: 0 };
    let [open, working, queued] = [ByClass::default(); 3];
    let mut state = State { most: 4_096, open, limit: 4_096, working, queued, window };
    assert_eq!(limit_after(&mut state, 1, 500, late), 400, "from what there was");
    assert_eq!(limit_after(&mut state, 1, 400, late), 320);
    assert_eq!(limit_after(&mut state, 1, 320, soon), 352);
    assert_eq!(limit_after(&mut state, 5, 100, soon), 352, "nobody needs more");
    assert_eq!(limit_after(&mut state, 99, 1_000, late), FLOOR);
    assert_eq!(limit_after(&mut state, 99, 5_000, soon), 4_096);
}

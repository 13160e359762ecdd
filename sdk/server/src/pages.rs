//! Lists, page by page.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use futures_util::{Stream, future::BoxFuture};

use crate::Error;

/// A page, and the token of the next one; empty: there is none.
pub(crate) type Fetched<T> = Result<(Vec<T>, String), Error>;
type Fetch<T> = Box<dyn FnMut(i32, String) -> BoxFuture<'static, Fetched<T>> + Send>;

/// A list on the server: a [`Stream`] of its items. The next page is fetched when it is needed, and nothing before the first item is.
///
/// After an error there is nothing more.
#[must_use = "nothing is fetched until it is read"]
pub struct List<T> {
    pages: Pages<T>,
    items: vec::IntoIter<T>,
}

impl<T> List<T> {
    pub(crate) fn new(fetch: impl FnMut(i32, String) -> BoxFuture<'static, Fetched<T>> + Send + 'static) -> Self {
        Self { pages: Pages { fetch: Box::new(fetch), size: 0, next: Next::At(String::new()) }, items: Vec::new().into_iter() }
    }

    /// How many are fetched at a time: 1 to 500, 50 unless set. The list is the same.
    pub fn page_size(self, items: u16) -> Self {
        Self { pages: Pages { size: items.into(), ..self.pages }, ..self }
    }

    /// The pages instead of the items.
    pub fn pages(self) -> Pages<T> {
        self.pages
    }

    /// The next item; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// All items. The list may be long.
    pub async fn into_vec(mut self) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        while let Some(item) = self.next().await {
            all.push(item?);
        }
        Ok(all)
    }
}

impl<T> Unpin for List<T> {}

impl<T> Stream for List<T> {
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let list = self.get_mut();
        loop {
            if let Some(item) = list.items.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(Pin::new(&mut list.pages).poll_next(cx)) {
                Some(Ok(page)) => list.items = page.into_iter(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").finish_non_exhaustive()
    }
}

/// A list on the server: a [`Stream`] of its pages, each as the server sent it. A page may be empty.
#[must_use = "nothing is fetched until it is read"]
pub struct Pages<T> {
    fetch: Fetch<T>,
    size: i32,
    next: Next<T>,
}

enum Next<T> {
    /// It begins with this token.
    At(String),
    /// It is being fetched.
    Coming(BoxFuture<'static, Fetched<T>>),
    /// There is none.
    End,
}

impl<T> Pages<T> {
    /// The next page; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Vec<T>, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T> Unpin for Pages<T> {}

impl<T> Stream for Pages<T> {
    type Item = Result<Vec<T>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let pages = self.get_mut();
        loop {
            match &mut pages.next {
                Next::At(token) => {
                    let token = std::mem::take(token);
                    pages.next = Next::Coming((pages.fetch)(pages.size, token));
                }
                Next::Coming(page) => {
                    let page = ready!(page.as_mut().poll(cx));
                    return Poll::Ready(Some(match page {
                        Ok((items, token)) => {
                            pages.next = if token.is_empty() { Next::End } else { Next::At(token) };
                            Ok(items)
                        }
                        Err(error) => {
                            pages.next = Next::End;
                            Err(error)
                        }
                    }));
                }
                Next::End => return Poll::Ready(None),
            }
        }
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers up to `end`, as many at a time as are wanted, otherwise two.
    fn numbers(end: usize) -> List<usize> {
        List::new(move |size, token| {
            Box::pin(async move {
                let from = token.parse().unwrap_or(0);
                if from == 100 {
                    return Err(Error::parameter("no more"));
                }
                let to = end.min(from + if size == 0 { 2 } else { usize::try_from(size).unwrap() });
                Ok(((from..to).collect(), if to < end { to.to_string() } else { String::new() }))
            })
        })
    }

    #[tokio::test]
    async fn a_list_has_every_item_once_whatever_the_size_of_its_pages() {
        for (end, size) in [(0, None), (1, None), (5, None), (5, Some(1)), (5, Some(5)), (6, Some(3)), (6, Some(500))] {
            let list = numbers(end);
            let list = match size {
                Some(size) => list.page_size(size),
                None => list,
            };
            assert_eq!(list.into_vec().await.unwrap(), (0..end).collect::<Vec<_>>(), "{end} {size:?}");
        }
    }

    #[tokio::test]
    async fn pages_are_as_the_server_sent_them() {
        let mut pages = numbers(5).page_size(2).pages();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            found.push(page.unwrap());
        }
        assert_eq!(found, [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[tokio::test]
    async fn after_an_error_there_is_nothing_more() {
        let mut list = numbers(200).page_size(100);
        for number in 0..100 {
            assert_eq!(list.next().await.unwrap().unwrap(), number);
        }
        assert_eq!(list.next().await.unwrap().unwrap_err().reason(), "INVALID_PARAMETER");
        assert!(list.next().await.is_none());
    }
}

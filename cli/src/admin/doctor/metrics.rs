//! Prometheus text, as far as the checks need it.

/// The sum of a metric over its labels; `None` when it is not there.
pub fn sum(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let (metric, value) = line.rsplit_once(' ')?;
        let own = metric.split_once('{').map_or(metric, |(own, _)| own);
        (own == name).then(|| value.parse::<f64>().ok())?
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_summed_up_and_other_names_are_not() {
        let text = "# HELP a x\na{service=\"x\"} 1\na{service=\"y\"} 2.5\nab 7\n";
        assert_eq!(sum(text, "a"), Some(3.5));
        assert_eq!(sum(text, "ab"), Some(7.0));
        assert_eq!(sum(text, "b"), None);
    }
}

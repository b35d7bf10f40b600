//! `Few`: a list whose first items lie in the list itself, so that a usual request is signed without allocating for it.

use std::ops::{Deref, DerefMut};

/// A list. Up to `N` items need no memory of their own.
#[derive(Clone, Debug)]
pub(crate) struct Few<T, const N: usize> {
    inline: [T; N],
    used: usize,
    /// All items, once there are more than `N`.
    spilled: Vec<T>,
}

impl<T: Default, const N: usize> Few<T, N> {
    pub(crate) fn new() -> Self {
        Self { inline: std::array::from_fn(|_| T::default()), used: 0, spilled: Vec::new() }
    }

    pub(crate) fn push(&mut self, item: T) {
        if self.used < N {
            self.inline[self.used] = item;
            self.used += 1;
        } else {
            if self.spilled.is_empty() {
                self.spilled.extend(self.inline.iter_mut().map(std::mem::take));
            }
            self.spilled.push(item);
        }
    }
}

impl<T, const N: usize> Deref for Few<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        if self.spilled.is_empty() { &self.inline[..self.used] } else { &self.spilled }
    }
}

impl<T, const N: usize> DerefMut for Few<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        if self.spilled.is_empty() { &mut self.inline[..self.used] } else { &mut self.spilled }
    }
}

impl<T: Default, const N: usize> FromIterator<T> for Few<T, N> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut few = Self::new();
        items.into_iter().for_each(|item| few.push(item));
        few
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_a_vec_holds_on_both_sides_of_its_edge() {
        for length in 0..6 {
            let mut few: Few<usize, 3> = (0..length).collect();
            let mut vec: Vec<usize> = (0..length).collect();
            assert_eq!(few[..], vec[..]);
            few.reverse();
            vec.reverse();
            assert_eq!(few[..], vec[..]);
        }
    }
}

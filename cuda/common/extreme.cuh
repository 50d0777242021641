// Running maximum that remembers which edge it came from.
#pragma once

// NaN is larger than everything; a tie goes to the lower edge id; edge -1 means nothing yet.
template <class A>
struct Extreme {
    A value;
    int edge;

    __device__ bool beats(const Extreme& other) const {
        if (edge < 0 || other.edge < 0) return edge >= 0;
        bool nan = value != value, other_nan = other.value != other.value;
        if (nan || other_nan) return nan && (!other_nan || edge < other.edge);
        return value > other.value || (value == other.value && edge < other.edge);
    }
};

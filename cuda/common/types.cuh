// Element types as raw bits, vectors of them, and conversion to and from the accumulation type.
#pragma once

struct Half {
    unsigned short bits;
};
struct BFloat16 {
    unsigned short bits;
};

// Sums, maxima and normalisers are kept in float, or in double for double features.
template <class T>
struct Accumulation {
    using type = float;
};
template <>
struct Accumulation<double> {
    using type = double;
};
template <class T>
using acc_t = typename Accumulation<T>::type;

__device__ inline float widen(Half x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}
__device__ inline float widen(BFloat16 x) {
    return __uint_as_float(unsigned(x.bits) << 16);
}
__device__ inline float widen(float x) {
    return x;
}
__device__ inline double widen(double x) {
    return x;
}

// Round to nearest, ties to even; done once per output element.
__device__ inline void narrow(float x, Half& y) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
}
__device__ inline void narrow(float x, BFloat16& y) {
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
}
__device__ inline void narrow(float x, float& y) {
    y = x;
}
__device__ inline void narrow(double x, double& y) {
    y = x;
}

// The machine word that moves BYTES at once.
template <int BYTES>
struct Word;
template <>
struct Word<2> {
    using type = unsigned short;
};
template <>
struct Word<4> {
    using type = unsigned;
};
template <>
struct Word<8> {
    using type = uint2;
};
template <>
struct Word<16> {
    using type = uint4;
};

// N neighbouring elements of a feature row, moved by one load or store.
template <class T, int N>
struct Vector {
    using word = typename Word<N * sizeof(T)>::type;
    word bits;

    __device__ static Vector zero() { return Vector{word{}}; }
    __device__ static Vector load(const T* from) {
        return Vector{__ldg(reinterpret_cast<const word*>(from))};
    }
    __device__ void store(T* to) const { *reinterpret_cast<word*>(to) = bits; }
    __device__ acc_t<T> operator[](int i) const {
        return widen(reinterpret_cast<const T*>(&bits)[i]);
    }
    __device__ void set(int i, acc_t<T> x) { narrow(x, reinterpret_cast<T*>(&bits)[i]); }
};

template <class A>
constexpr A log2_e = A(1.4426950408889634);
template <class A>
constexpr A ln_2 = A(0.6931471805599453);
template <class A>
__device__ A infinity();
template <>
__device__ inline float infinity() {
    return __int_as_float(0x7f800000);
}
template <>
__device__ inline double infinity() {
    return __longlong_as_double(0x7ff0000000000000ll);
}

__device__ inline float larger(float x, float y) {
    return fmaxf(x, y);
}  // drops NaN
__device__ inline double larger(double x, double y) {
    return fmax(x, y);
}

// base + count * bytes in one instruction. Left to itself, the compiler hoists the widening of
// `bytes` out of the loop and then multiplies 64 by 64 bits for every row.
template <class E>
__device__ E* advance(E* base, int count, int bytes) {
    unsigned long long address;
    asm("mad.wide.u32 %0, %1, %2, %3;"
        : "=l"(address)
        : "r"(count), "r"(bytes), "l"((unsigned long long)base));
    return (E*)address;
}

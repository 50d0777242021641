// One planted defect for each tool of compute-sanitizer, to prove that the tool is awake.

// memcheck: thread n writes behind the end of x [n].
__global__ void writes_behind_the_end(float* x, long long n) {
    if (threadIdx.x <= n) x[threadIdx.x] = 1;
}

// racecheck: a thread reads what another one wrote, without a barrier between.
__global__ void reads_without_a_barrier(float* x, long long n) {
    __shared__ float shared[128];
    shared[threadIdx.x] = threadIdx.x;
    if (threadIdx.x < n) x[threadIdx.x] = shared[127 - threadIdx.x];
}

// initcheck: adds to memory that nobody has written.
__global__ void adds_to_what_is_not_there(float* x, long long n) {
    if (threadIdx.x < n) x[threadIdx.x] += 1;
}

// synccheck: half of the threads of a block wait for all.
__global__ void waits_for_half(float* x, long long n) {
    if (threadIdx.x < 48) __syncthreads();
    if (threadIdx.x < n) x[threadIdx.x] = 1;
}

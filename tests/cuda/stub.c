/* A libcuda.so.1 without a GPU, for the probes of the caps: the environment says what there is.
 *
 * Compiled with HAVE_CUDA_H its functions are compared with NVIDIA's own header.
 */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_CUDA_H  /* then the compiler compares these functions with NVIDIA's header */
#include <cuda.h>
#else
typedef int CUresult, CUdevice, CUdevice_attribute;
typedef unsigned long long CUdeviceptr;
typedef struct { char bytes[16]; } CUuuid;
typedef void *CUcontext, *CUmodule, *CUfunction, *CUstream;
#define CUDAAPI
#endif

static long long own, *used = &own;
static long long number(const char *name, long long otherwise) {
    const char *text = getenv(name);
    return text ? atoll(text) : otherwise;
}
CUresult CUDAAPI cuInit(unsigned int flags) {
    const char *shared = getenv("STUB_SHARED");
    if (shared) {
        int file = open(shared, O_RDWR | O_CREAT, 0600);
        if (ftruncate(file, sizeof *used)) return 999;
        used = mmap(0, sizeof *used, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    return number("STUB_INIT", 0);
}
CUresult CUDAAPI cuGetErrorName(CUresult code, const char **text) {
    *text = code == 2    ? "CUDA_ERROR_OUT_OF_MEMORY"
            : code == 46 ? "CUDA_ERROR_DEVICE_UNAVAILABLE"
                         : 0;
    return *text ? 0 : 1;
}
CUresult CUDAAPI cuGetErrorString(CUresult code, const char **text) {
    *text = "in words";
    return 0;
}
CUresult CUDAAPI cuDeviceGetCount(int *count) { *count = 1; return 0; }
CUresult CUDAAPI cuDeviceGet(CUdevice *device, int ordinal) {
    *device = ordinal + 7;
    return ordinal ? 101 : 0;
}
CUresult CUDAAPI cuDeviceGetName(char *name, int size, CUdevice device) {
    snprintf(name, size, "Stub %d", device);
    return 0;
}
CUresult CUDAAPI cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) {
    for (int i = 0; i < 16; i++) uuid->bytes[i] = i;
    return 0;
}
CUresult CUDAAPI cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice device) {
    *value = which == 16 ? number("STUB_SMS", 132) : -1;
    return 0;
}
CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    *context = (CUcontext) 0x1234567890;
    return number("STUB_CONTEXT", 0);
}
CUresult CUDAAPI cuCtxSetCurrent(CUcontext context) {
    return context == (CUcontext) 0x1234567890 ? 0 : 201;
}
CUresult CUDAAPI cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    if (getenv("STUB_LEFT")) {
        FILE *file = fopen(getenv("STUB_LEFT"), "w");
        fprintf(file, "%lld", own);
        fclose(file);
    }
    return device == 7 ? 0 : 101;
}
CUresult CUDAAPI cuCtxSynchronize(void) { return number("STUB_FAULT", 0); }
CUresult CUDAAPI cuMemGetInfo_v2(size_t *available, size_t *total) {
    *total = number("STUB_MEMORY", 1LL << 30);
    *available = *total - *used;
    return 0;
}
CUresult CUDAAPI cuMemAlloc_v2(CUdeviceptr *address, size_t size) {
    if (__atomic_add_fetch(used, size, __ATOMIC_SEQ_CST) > number("STUB_MEMORY", 1LL << 30)) {
        __atomic_sub_fetch(used, size, __ATOMIC_SEQ_CST);
        return 2;
    }
    if (used != &own) own += size;
    size_t *block = malloc(size + 64);
    *block = size;
    *address = (CUdeviceptr) (block + 8);
    return 0;
}
CUresult CUDAAPI cuMemFree_v2(CUdeviceptr address) {
    size_t *block = (size_t *) address - 8;
    __atomic_sub_fetch(used, *block, __ATOMIC_SEQ_CST);
    if (used != &own) own -= *block;
    free(block);
    return 0;
}
CUresult CUDAAPI cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size) {
    memcpy(to, (void *) from, size);
    return 0;
}
CUresult CUDAAPI cuModuleLoadData(CUmodule *module, const void *image) {
    *module = (CUmodule) 0x2345678901;
    return strstr(image, ".visible .entry multiply_add") ? 0 : 218;
}
CUresult CUDAAPI cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    *function = (CUfunction) strdup(name);
    return module == (CUmodule) 0x2345678901 ? 0 : 400;
}
CUresult CUDAAPI cuModuleUnload(CUmodule module) { return 0; }
CUresult CUDAAPI cuLaunchKernel(
    CUfunction function, unsigned int x, unsigned int y, unsigned int z,
    unsigned int threads, unsigned int ty, unsigned int tz,
    unsigned int shared, CUstream stream, void **arguments, void **extra) {
    void *out = *(void **) arguments[0];
    if (y * z * ty * tz != 1 || shared || stream || extra) return 1;
    if (!strcmp((char *) function, "place_of_block")) {
        for (unsigned int i = 0; i < x; i++)
            ((unsigned int *) out)[i] = i % number("STUB_SMS", 132);
        return *(unsigned long long *) arguments[1] < 1000000 ? 0 : 1;
    }
    unsigned int rounds = *(unsigned int *) arguments[1];
    double seconds = 64.0 * rounds * x * threads / number("STUB_RATE", 10000000000000);
    struct timespec wait = {(long) seconds, (long) (1e9 * (seconds - (long) seconds))};
    nanosleep(&wait, 0);
    ((unsigned long long *) out)[0] = 1980;
    ((unsigned long long *) out)[1] = 1000;
    ((float *) out)[4 + x * threads - 1] = 1;
    return seconds < 0.05 ? 0 : 702;
}

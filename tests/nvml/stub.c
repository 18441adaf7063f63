/* A libnvidia-ml.so.1 without a GPU: it answers from the file that BAI_NVML_STATE names.
 *
 * The file is read anew at every call. While there is no file, the driver is not loaded;
 * when it comes back, what was initialised before has to be initialised again, and so it is
 * for a device that was lost and for GPUs that came. A line is a word and its fields, one
 * space between them; a name is the rest of its line:
 *
 *   driver VERSION                     as 615.71.05
 *   cuda VERSION                       as 13040
 *   gpu UUID TOTAL RESERVED USED UTILISATION COMPUTE_MODE MIG LOST NAME
 *                                      bytes, percent; MIG: 1, 0, or -1 for "not supported";
 *                                      LOST: 1, and every call about it returns "GPU is lost"
 *   mig UUID SLOT TOTAL USED GPU_SLICES COMPUTE_SLICES MEGABYTES COMPUTE_MODE LOST NAME
 *                                      a MIG device of the gpu above
 *   process PID BYTES                  computes on the device above; BYTES may be -
 *   mps PID BYTES                      likewise, as a client of MPS
 *   limit CGROUP SOFT HARD USED        a limit on the device above, in bytes
 *   fail FUNCTION CODE                 what it returns, for the device above; for all of
 *                                      them, or none, where the line comes before any device
 *
 * Compiled with NO_MEMORY_LIMITS it is a driver before 615; with NO_MIG also one before MIG;
 * with NO_OPTIONAL one that lacks whatever else a program might do without.
 *
 * The types and numbers are those of NVIDIA's nvml.h.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int nvmlReturn_t;
typedef const char *nvmlDevice_t; /* the device's uuid, each kept once: see handle_of */

typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } nvmlMemory_v2_t;
typedef struct { unsigned gpu, memory; } nvmlUtilization_t;
typedef struct {
    unsigned pid;
    unsigned long long usedGpuMemory;
    unsigned gpuInstanceId, computeInstanceId;
} nvmlProcessInfo_t;
typedef struct {
    unsigned multiprocessorCount, sharedCopyEngineCount, sharedDecoderCount, sharedEncoderCount,
        sharedJpegCount, sharedOfaCount, gpuInstanceSliceCount, computeInstanceSliceCount;
    unsigned long long memorySizeMB;
} nvmlDeviceAttributes_t;
typedef struct { const char *nameSpace; unsigned long long softLimit, hardLimit; } nvmlSetMemoryLimits_v1_t;
typedef struct {
    const char *nameSpace;
    unsigned long long softLimit, hardLimit, currentUsed;
} nvmlGetMemoryLimits_v1_t;

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4,
    NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15,
    ARGUMENT_VERSION_MISMATCH = 25, UNKNOWN = 999
};
enum { MEMORY_V2 = 0x02000028, MIG_SLOTS = 7, TEXT = 128, PATH = 512 };
static const unsigned long long NONE = ~0ULL; /* a size that is not told, a limit that is not set */

struct device {
    char uuid[TEXT], name[TEXT];
    int index, parent, slot, mig, lost, mode; /* parent: -1 of a GPU */
    unsigned utilisation, gpu_slices, compute_slices;
    unsigned long long total, reserved, used, megabytes;
};
struct process { int device, mps; unsigned pid; unsigned long long bytes; };
struct limit { int device; char cgroup[PATH]; unsigned long long soft, hard, used; };
struct failure { int device; char function[TEXT]; int code; };

#define MANY 128
static __thread struct {
    char driver[TEXT];
    int cuda, gpus, devices, processes, limits, failures;
    struct device device[MANY];
    struct process process[MANY];
    struct limit limit[MANY];
    struct failure failure[MANY];
} now;

static atomic_int initialised, unloaded_since, counted;

static void full(const char *line) {
    fprintf(stderr, "libnvidia-ml stub: not a line of a state, or one too many: %s", line);
    abort();
}

static unsigned long long bytes_of(const char *word) {
    return strcmp(word, "-") ? strtoull(word, NULL, 10) : NONE;
}

static int parse(const char *line) {
    char word[TEXT] = "", text[TEXT] = "";
    int last = now.devices - 1;
    if (now.devices == MANY || now.processes == MANY || now.limits == MANY || now.failures == MANY)
        return 0;
    struct device *d = &now.device[now.devices];
    struct process *p = &now.process[now.processes];
    struct limit *l = &now.limit[now.limits];
    struct failure *f = &now.failure[now.failures];
    sscanf(line, "%127s", word);
    memset(d, 0, sizeof *d);
    if (!strcmp(word, "driver")) return sscanf(line, "driver %127s", now.driver) == 1;
    if (!strcmp(word, "cuda")) return sscanf(line, "cuda %d", &now.cuda) == 1;
    if (!strcmp(word, "gpu")) {
        d->parent = -1;
        d->index = now.gpus++;
        now.devices++;
        return sscanf(line, "gpu %127s %llu %llu %llu %u %d %d %d %127[^\n]", d->uuid, &d->total,
                      &d->reserved, &d->used, &d->utilisation, &d->mode, &d->mig, &d->lost, d->name) == 9;
    }
    if (!strcmp(word, "mig")) {
        for (d->parent = last; d->parent >= 0 && now.device[d->parent].parent >= 0; d->parent--) {}
        d->mig = -1;
        now.devices++;
        int read = sscanf(line, "mig %127s %d %llu %llu %u %u %llu %d %d %127[^\n]", d->uuid, &d->slot,
                          &d->total, &d->used, &d->gpu_slices, &d->compute_slices, &d->megabytes,
                          &d->mode, &d->lost, d->name);
        d->index = d->slot;
        return read == 10 && d->parent >= 0;
    }
    if (!strcmp(word, "process") || !strcmp(word, "mps")) {
        p->device = last;
        p->mps = *word == 'm';
        int read = sscanf(line, "%*s %u %127s", &p->pid, text);
        p->bytes = bytes_of(text);
        now.processes++;
        return read == 2 && last >= 0;
    }
    if (!strcmp(word, "limit")) {
        l->device = last;
        now.limits++;
        return sscanf(line, "limit %511s %llu %llu %llu", l->cgroup, &l->soft, &l->hard, &l->used) == 4
            && last >= 0;
    }
    f->device = last;
    now.failures++;
    return sscanf(line, "fail %127s %d", f->function, &f->code) == 2;
}

/* Whether a driver is loaded; what it has is then in `now`. */
static int load(void) {
    char line[1024];
    const char *path = getenv("BAI_NVML_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    memset(&now, 0, sizeof now);
    if (!file) {
        unloaded_since = 1;
        return 0;
    }
    while (fgets(line, sizeof line, file))
        if (!parse(line)) full(line);
    fclose(file);
    return 1;
}

static nvmlReturn_t failure_of(const char *function, int device) {
    for (int i = 0; i < now.failures; i++)
        if (now.failure[i].device == device && !strcmp(now.failure[i].function, function))
            return now.failure[i].code;
    return SUCCESS;
}

/* The state for a call that is about no device in particular. */
static nvmlReturn_t begin(const char *function) {
    int loaded = load();
    if (!initialised) return UNINITIALIZED;
    if (!loaded) return DRIVER_NOT_LOADED;
    if (unloaded_since) return UNKNOWN;
    return failure_of(function, -1);
}

/* What is remembered of a device from call to call. Handles outlive a change of the file, so
 * point to what does not change. What was lost is so until the library is initialised again. */
static struct { char *uuid; int lost; } kept[4096];
static pthread_mutex_t keeping = PTHREAD_MUTEX_INITIALIZER;

static nvmlDevice_t keep(const struct device *device, int *lost) {
    int i = 0;
    pthread_mutex_lock(&keeping);
    while (kept[i].uuid && strcmp(kept[i].uuid, device->uuid)) i++;
    if (!kept[i].uuid) kept[i].uuid = strdup(device->uuid);
    *lost = kept[i].lost |= device->lost;
    pthread_mutex_unlock(&keeping);
    return kept[i].uuid;
}

static void forget_losses(void) {
    pthread_mutex_lock(&keeping);
    for (int i = 0; kept[i].uuid; i++) kept[i].lost = 0;
    pthread_mutex_unlock(&keeping);
}

/* What a call about the device returns, be it only for this function. */
static nvmlReturn_t hand_out(const char *function, struct device *device, nvmlDevice_t *handle) {
    int lost;
    *handle = keep(device, &lost);
    return lost ? GPU_IS_LOST : failure_of(function, (int)(device - now.device));
}

/* The state for a call about a device, and that device. */
static nvmlReturn_t about(const char *function, nvmlDevice_t handle, struct device **device) {
    nvmlReturn_t code = begin(function);
    if (code) return code;
    if (!handle) return INVALID_ARGUMENT;
    for (int i = 0; i < now.devices; i++)
        if (!strcmp(now.device[i].uuid, handle)) {
            *device = &now.device[i];
            return hand_out(function, *device, &handle);
        }
    return GPU_IS_LOST; /* it was there when its handle was asked for */
}

static nvmlReturn_t copy(const char *from, char *to, unsigned length) {
    if (strlen(from) >= length) return INSUFFICIENT_SIZE;
    strcpy(to, from);
    return SUCCESS;
}

nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (!load()) return DRIVER_NOT_LOADED;
    nvmlReturn_t code = failure_of(__func__, -1);
    if (!code && !initialised++) {
        unloaded_since = 0;
        counted = now.gpus;
        forget_losses();
    }
    return code;
}

nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

nvmlReturn_t nvmlShutdown(void) {
    load();
    if (!initialised) return UNINITIALIZED;
    initialised--;
    return failure_of(__func__, -1);
}

const char *nvmlErrorString(nvmlReturn_t code) {
    (void)code;
    return "An error that only the library knows";
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length) {
    nvmlReturn_t code = begin(__func__);
    return code ? code : copy(now.driver, version, length);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version) {
    nvmlReturn_t code = begin(__func__);
    *version = now.cuda;
    return code;
}

#ifndef NO_OPTIONAL
nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version) {
    nvmlReturn_t code = begin(__func__);
    *version = now.cuda;
    return code;
}
#endif

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) {
    nvmlReturn_t code = begin(__func__);
    *count = (unsigned)(now.gpus < counted ? now.gpus : counted);
    return code;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *handle) {
    nvmlReturn_t code = begin(__func__);
    if (code) return code;
    for (int i = 0; i < now.devices; i++)
        if (now.device[i].parent < 0 && now.device[i].index == (int)index)
            return hand_out(__func__, &now.device[i], handle);
    return INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *handle) {
    nvmlReturn_t code = begin(__func__);
    if (code) return code;
    for (int i = 0; i < now.devices; i++)
        if (!strcmp(now.device[i].uuid, uuid)) return hand_out(__func__, &now.device[i], handle);
    return NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t handle, char *uuid, unsigned length) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    return code ? code : copy(device->uuid, uuid, length);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t handle, char *name, unsigned length) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    return code ? code : copy(device->name, name, length);
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t handle, unsigned *index) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (!code) *index = (unsigned)device->index;
    return code;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t handle, nvmlMemory_t *memory) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (code) return code;
    memory->total = device->total;
    memory->used = device->used + device->reserved;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

#ifndef NO_OPTIONAL
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t handle, nvmlMemory_v2_t *memory) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (code) return code;
    if (memory->version != MEMORY_V2) return ARGUMENT_VERSION_MISMATCH;
    memory->total = device->total;
    memory->reserved = device->reserved;
    memory->used = device->used;
    memory->free = device->total - device->used - device->reserved;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t handle, nvmlUtilization_t *rates) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (code) return code;
    if (device->parent >= 0 || device->mig == 1) return NOT_SUPPORTED;
    rates->gpu = device->utilisation;
    rates->memory = 0;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t handle, int *mode) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (!code) *mode = device->mode;
    return code;
}

/* How many there are is told to whoever has no room for them, as nvml.h has it. */
static nvmlReturn_t list(const char *function, nvmlDevice_t handle, int mps, unsigned *count,
                         nvmlProcessInfo_t *infos) {
    struct device *device;
    unsigned room = *count, found = 0;
    nvmlReturn_t code = about(function, handle, &device);
    if (code) return code;
    for (int i = 0; i < now.processes; i++) {
        struct process *p = &now.process[i];
        if (&now.device[p->device] != device || p->mps != mps) continue;
        if (infos && found < room) infos[found] = (nvmlProcessInfo_t){p->pid, p->bytes, ~0U, ~0U};
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t handle, unsigned *count,
                                                     nvmlProcessInfo_t *infos) {
    return list(__func__, handle, 0, count, infos);
}

nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t handle, unsigned *count,
                                                        nvmlProcessInfo_t *infos) {
    return list(__func__, handle, 1, count, infos);
}
#endif

#ifndef NO_MIG
nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t handle, unsigned *current, unsigned *pending) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (code) return code;
    if (device->mig < 0) return NOT_SUPPORTED;
    *current = *pending = (unsigned)device->mig;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t handle, unsigned *count) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (!code) *count = device->mig == 1 ? MIG_SLOTS : 0;
    return code;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t handle, unsigned slot,
                                                 nvmlDevice_t *mig) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (code) return code;
    if (slot >= MIG_SLOTS) return INVALID_ARGUMENT;
    for (int i = 0; i < now.devices; i++)
        if (now.device[i].parent == device - now.device && now.device[i].slot == (int)slot)
            return hand_out(__func__, &now.device[i], mig);
    return NOT_FOUND;
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t handle, unsigned *is_mig) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (!code) *is_mig = device->parent >= 0;
    return code;
}

nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t handle, nvmlDeviceAttributes_t *attributes) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (code) return code;
    if (device->parent < 0) return NOT_SUPPORTED;
    memset(attributes, 0, sizeof *attributes);
    attributes->gpuInstanceSliceCount = device->gpu_slices;
    attributes->computeInstanceSliceCount = device->compute_slices;
    attributes->memorySizeMB = device->megabytes;
    return SUCCESS;
}
#endif

#ifndef NO_MEMORY_LIMITS
nvmlReturn_t nvmlDeviceGetMemoryLimits_v1(nvmlDevice_t handle, nvmlGetMemoryLimits_v1_t *limits) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    if (code) return code;
    if (device->parent >= 0) return NOT_SUPPORTED;
    limits->softLimit = 0;
    limits->hardLimit = NONE;
    limits->currentUsed = 0;
    for (int i = 0; i < now.limits; i++) {
        struct limit *l = &now.limit[i];
        if (&now.device[l->device] != device || strcmp(l->cgroup, limits->nameSpace)) continue;
        limits->softLimit = l->soft;
        limits->hardLimit = l->hard;
        limits->currentUsed = l->used;
    }
    return SUCCESS;
}

/* Only root may, and nobody here is taken for it: the container toolkit sets limits, not we. */
nvmlReturn_t nvmlDeviceSetMemoryLimits_v1(nvmlDevice_t handle, nvmlSetMemoryLimits_v1_t *limits) {
    struct device *device;
    nvmlReturn_t code = about(__func__, handle, &device);
    (void)limits;
    return code ? code : NO_PERMISSION;
}
#endif

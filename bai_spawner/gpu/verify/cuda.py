"""As much of the CUDA driver's API as a probe needs, by ctypes, with types.

Whatever the driver refuses is a `CudaError` with CUDA's own name for it. A `Context` gives back
all that was allocated in it when it is left, after what runs on the device has come to its end.

Source: cuda.h of CUDA 13.0. The names here are those that the library exports (``_v2`` where the
header's macros say so); all of them are older than CUDA 11.5.
"""

from __future__ import annotations

import contextlib
import ctypes
import uuid
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from types import TracebackType
from typing import Any, Self

from bai_spawner.errors import BaiError

LIBRARY = "libcuda.so.1"
OUT_OF_MEMORY = 2
MULTIPROCESSOR_COUNT = 16
"""Of CUdevice_attribute: the SMs of a device, as a process is told."""
_NAME_LENGTH = 256
_UUID_LENGTH = 16

_OUT = POINTER
_POINTER = c_uint64
"""A CUdeviceptr: an address on the device, never one here."""
_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuGetErrorName": (c_int, _OUT(c_char_p)),
    "cuGetErrorString": (c_int, _OUT(c_char_p)),
    "cuDeviceGetCount": (_OUT(c_int),),
    "cuDeviceGet": (_OUT(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetUuid_v2": (c_char_p, c_int),
    "cuDeviceGetAttribute": (_OUT(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (_OUT(c_void_p), c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxSetCurrent": (c_void_p,),
    "cuCtxSynchronize": (),
    "cuMemGetInfo_v2": (_OUT(c_size_t), _OUT(c_size_t)),
    "cuMemAlloc_v2": (_OUT(_POINTER), c_size_t),
    "cuMemFree_v2": (_POINTER,),
    "cuMemcpyDtoH_v2": (c_void_p, _POINTER, c_size_t),
    "cuModuleLoadData": (_OUT(c_void_p), c_char_p),
    "cuModuleGetFunction": (_OUT(c_void_p), c_void_p, c_char_p),
    "cuModuleUnload": (c_void_p,),
    "cuLaunchKernel": (c_void_p, *[c_uint] * 7, c_void_p, _OUT(c_void_p), _OUT(c_void_p)),
}
"""The last of ``cuLaunchKernel``: stream, arguments, extra. Every function returns a CUresult."""


class NoDriver(BaiError):
    """NVIDIA's driver, or one of its functions, is not in this environment."""


class CudaError(BaiError):
    """The driver refused a call: ``name`` is CUDA's, such as ``CUDA_ERROR_OUT_OF_MEMORY``."""

    def __init__(self, call: str, code: int, name: str, words: str) -> None:
        super().__init__(f"{call}: {name} ({words})")
        self.code = code
        self.name = name


class Driver:
    """The driver's library, initialised: what there is and who it is.

    Raises:
        NoDriver: there is none, or it is too old.
        CudaError: it does not start, or there is no device.
    """

    def __init__(self, library: str = LIBRARY) -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            raise NoDriver(
                f"{library} cannot be loaded ({error}); this environment has no NVIDIA driver: "
                "run this on a GPU host, in a session that was given a GPU"
            ) from error
        for name, arguments in _PROTOTYPES.items():
            try:
                function = getattr(self._library, name)
            except AttributeError as error:
                raise NoDriver(
                    f"{library} has no {name}; a driver for CUDA 11.5 or newer is needed"
                ) from error
            function.argtypes = arguments
            function.restype = c_int
        self.call("cuInit", 0)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver.

        Raises:
            CudaError: it returned anything but success.
        """
        code = getattr(self._library, name)(*arguments)
        if code:
            raise CudaError(
                name,
                code,
                self._text("cuGetErrorName", code) or f"error {code}",
                self._text("cuGetErrorString", code) or "CUDA does not know it",
            )

    def _text(self, name: str, code: int) -> str:
        text = c_char_p()
        failed = getattr(self._library, name)(code, ctypes.byref(text))
        return "" if failed or text.value is None else text.value.decode("ascii", "replace")

    def count(self) -> int:
        """How many devices this process may use."""
        return self._number("cuDeviceGetCount")

    def uuid(self, ordinal: int) -> str:
        """A device's UUID without NVML's ``GPU-`` or ``MIG-``; of a MIG device, its own."""
        raw = ctypes.create_string_buffer(_UUID_LENGTH)
        self.call("cuDeviceGetUuid_v2", raw, self._handle(ordinal))
        return str(uuid.UUID(bytes=raw.raw))

    def name(self, ordinal: int) -> str:
        """A device's product name."""
        raw = ctypes.create_string_buffer(_NAME_LENGTH)
        self.call("cuDeviceGetName", raw, _NAME_LENGTH, self._handle(ordinal))
        return raw.value.decode("utf-8", "replace")

    def multiprocessors(self, ordinal: int) -> int:
        """How many SMs a process is told that it may use, in the context that it has."""
        return self._number("cuDeviceGetAttribute", MULTIPROCESSOR_COUNT, self._handle(ordinal))

    def open(self, ordinal: int) -> Context:
        """The primary context of a device, as the CUDA runtime uses it.

        Raises:
            CudaError: this process may not use the device.
        """
        return Context(self, self._handle(ordinal))

    def _handle(self, ordinal: int) -> int:
        return self._number("cuDeviceGet", ordinal)

    def _number(self, name: str, *arguments: int) -> int:
        number = c_int()
        self.call(name, ctypes.byref(number), *arguments)
        return number.value


class Context:
    """A process's work on one device; the end of its ``with`` block ends that work."""

    def __init__(self, driver: Driver, device: int) -> None:
        self._driver = driver
        self._device = device
        self._held: list[int] = []
        self._modules: list[c_void_p] = []
        context = c_void_p()
        driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        driver.call("cuCtxSetCurrent", context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # after a fault every call fails, and the error that led here says why
        with contextlib.suppress(CudaError):
            self.synchronize()
            for address in self._held:
                self._driver.call("cuMemFree_v2", address)
            for module in self._modules:
                self._driver.call("cuModuleUnload", module)
        with contextlib.suppress(CudaError):
            self._driver.call("cuDevicePrimaryCtxRelease_v2", self._device)

    def memory(self) -> tuple[int, int]:
        """Bytes that are free and that there are, as this process is told."""
        free, total = c_size_t(), c_size_t()
        self._driver.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def allocate(self, size: int) -> int:
        """The address of so many bytes of the device, held until the context is left.

        Raises:
            CudaError: with the code `OUT_OF_MEMORY` when there is no more to be had.
        """
        address = _POINTER()
        self._driver.call("cuMemAlloc_v2", ctypes.byref(address), size)
        self._held.append(address.value)
        return address.value

    def read(self, address: int, size: int) -> bytes:
        """So many bytes from the device."""
        raw = ctypes.create_string_buffer(size)
        self._driver.call("cuMemcpyDtoH_v2", raw, address, size)
        return raw.raw

    def load(self, source: str) -> Module:
        """Kernels in PTX, compiled by the driver for this device."""
        module = c_void_p()
        self._driver.call("cuModuleLoadData", ctypes.byref(module), source.encode("ascii"))
        self._modules.append(module)
        return Module(self._driver, module)

    def synchronize(self) -> None:
        """Wait until all that was launched is done."""
        self._driver.call("cuCtxSynchronize")


class Module:
    """Kernels that can be launched."""

    def __init__(self, driver: Driver, module: c_void_p) -> None:
        self._driver = driver
        self._module = module

    def launch(
        self, kernel: str, blocks: int, threads: int, *arguments: ctypes._SimpleCData[int]
    ) -> None:
        """Start a kernel on so many blocks of so many threads; the arguments are of its types."""
        function = c_void_p()
        self._driver.call(
            "cuModuleGetFunction", ctypes.byref(function), self._module, kernel.encode("ascii")
        )
        addresses = (c_void_p * len(arguments))(
            *(ctypes.cast(ctypes.byref(a), c_void_p) for a in arguments)
        )
        grid = (blocks, 1, 1, threads, 1, 1)
        self._driver.call("cuLaunchKernel", function, *grid, 0, None, addresses, None)

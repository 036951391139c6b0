package embedded

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/ebitengine/purego"
)

// highestSignal is the last one asked for; Linux has 64, Darwin 31.
const highestSignal = 64

// actionSize is room for libc's struct sigaction on every platform (152 bytes
// on Linux, 16 on Darwin), whose content is only ever handed back.
const actionSize = 256

// signalHandlers is a snapshot of the process's signal dispositions. The
// library takes over signals that the Go runtime needs (a nil dereference is a
// SIGSEGV, preemption a SIGURG); the handlers that were there before are put
// back after it has booted. A signal that had none keeps what the library set:
// it sends one of those to its own threads.
type signalHandlers struct {
	sigaction func(sig int32, act, old unsafe.Pointer) int32
	saved     [highestSignal + 1][actionSize]byte
	handled   [highestSignal + 1]bool
}

// saveSignalHandlers takes the snapshot.
func saveSignalHandlers() (*signalHandlers, error) {
	symbol, err := purego.Dlsym(purego.RTLD_DEFAULT, "sigaction")
	if err != nil {
		return nil, fmt.Errorf("find sigaction in the C library: %w", err)
	}
	h := &signalHandlers{}
	purego.RegisterFunc(&h.sigaction, symbol)
	for sig := range h.saved {
		if sig > 0 {
			ok := h.sigaction(int32(sig), nil, unsafe.Pointer(&h.saved[sig])) == 0
			h.handled[sig] = ok && binary.NativeEndian.Uint64(h.saved[sig][:]) != 0 // the handler's address comes first
		}
	}
	return h, nil
}

// restore puts back every handler that differs from the snapshot and
// returns how many did.
func (h *signalHandlers) restore() int {
	changed := 0
	for sig := range h.saved {
		if !h.handled[sig] {
			continue
		}
		var now [actionSize]byte
		if h.sigaction(int32(sig), nil, unsafe.Pointer(&now)) != 0 || now == h.saved[sig] {
			continue
		}
		if h.sigaction(int32(sig), unsafe.Pointer(&h.saved[sig]), nil) == 0 {
			changed++
		}
	}
	return changed
}

package embedded

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library is libchdb's C interface, loaded once per process. Handles are kept
// as unsafe.Pointer: they point into the library's own memory.
type library struct {
	connect    func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	closeConn  func(conn unsafe.Pointer)
	shutdown   func() int32
	setSignals func(enabled int32)
	classify   func(conn, sql unsafe.Pointer, sqlLen uintptr, database unsafe.Pointer, databaseLen uintptr, out unsafe.Pointer) int32

	query       func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	streamQuery func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	streamFetch func(conn, result unsafe.Pointer) unsafe.Pointer
	streamStop  func(conn, result unsafe.Pointer)

	insert        func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	insertAppend  func(stream, data unsafe.Pointer, length uintptr) int32
	insertDone    func(stream unsafe.Pointer) unsafe.Pointer
	insertCancel  func(stream unsafe.Pointer)
	insertError   func(stream unsafe.Pointer) unsafe.Pointer
	insertDestroy func(stream unsafe.Pointer)

	resultBuffer      func(result unsafe.Pointer) unsafe.Pointer
	resultLength      func(result unsafe.Pointer) uintptr
	resultError       func(result unsafe.Pointer) unsafe.Pointer
	resultRows        func(result unsafe.Pointer) uint64
	resultBytes       func(result unsafe.Pointer) uint64
	resultRowsWritten func(result unsafe.Pointer) uint64
	resultDestroy     func(result unsafe.Pointer)
}

// loadLibrary opens the library at path. The caller has saved the process's
// signal handlers; loading and connecting may change them.
func loadLibrary(path string) (*library, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load the ClickHouse engine: %w", err)
	}
	var l library
	for name, fn := range map[string]any{
		"chdb_connect":                     &l.connect,
		"chdb_close_conn":                  &l.closeConn,
		"chdb_shutdown":                    &l.shutdown,
		"chdb_set_signal_handlers_enabled": &l.setSignals,
		"chdb_classify_query_n":            &l.classify,
		"chdb_query_with_params_n":         &l.query,
		"chdb_stream_query_with_params_n":  &l.streamQuery,
		"chdb_stream_fetch_result":         &l.streamFetch,
		"chdb_stream_cancel_query":         &l.streamStop,
		"chdb_stream_insert_with_params_n": &l.insert,
		"chdb_stream_append":               &l.insertAppend,
		"chdb_stream_done":                 &l.insertDone,
		"chdb_stream_cancel_insert":        &l.insertCancel,
		"chdb_stream_insert_error":         &l.insertError,
		"chdb_destroy_insert_stream":       &l.insertDestroy,
		"chdb_result_buffer":               &l.resultBuffer,
		"chdb_result_length":               &l.resultLength,
		"chdb_result_error":                &l.resultError,
		"chdb_result_rows_read":            &l.resultRows,
		"chdb_result_bytes_read":           &l.resultBytes,
		"chdb_result_rows_written":         &l.resultRowsWritten,
		"chdb_destroy_query_result":        &l.resultDestroy,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("the ClickHouse engine at %s lacks %s; it is not release %s: %w", path, name, Version, err)
		}
		purego.RegisterFunc(fn, symbol)
	}
	return &l, nil
}

// open opens one connection of the process's engine; the first boots it.
// Arguments are command-line options as `clickhouse local` takes them. The
// library reports no reason when it refuses.
func (l *library) open(args ...string) (unsafe.Pointer, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]unsafe.Pointer, 0, len(args)+2)
	for _, a := range append([]string{"clickhouse"}, args...) {
		b := append([]byte(a), 0)
		pin.Pin(&b[0])
		argv = append(argv, unsafe.Pointer(&b[0]))
	}
	argc := len(argv)
	argv = append(argv, nil)
	pin.Pin(&argv[0])
	conn := l.connect(int32(argc), unsafe.Pointer(&argv[0]))
	if conn == nil {
		return nil, errors.New("the ClickHouse engine refused to open a connection")
	}
	return conn, nil
}

// param is one named query parameter; the value is text as ClickHouse escapes
// it in tab-separated values.
type param struct{ name, value string }

// cText is a pinned byte sequence for a call with an explicit length.
func cText(pin *runtime.Pinner, s string) (unsafe.Pointer, uintptr) {
	if s == "" {
		s = "\x00"
		p := unsafe.StringData(s)
		return unsafe.Pointer(p), 0
	}
	p := unsafe.StringData(s)
	pin.Pin(p)
	return unsafe.Pointer(p), uintptr(len(s))
}

// cParams are the four arrays of a call with parameters, all pinned.
type cParams struct {
	names, values        []unsafe.Pointer
	nameLens, valueLens  []uintptr
	pNames, pNameLens    unsafe.Pointer
	pValues, pValuesLens unsafe.Pointer
}

func newCParams(pin *runtime.Pinner, params []param) *cParams {
	c := &cParams{}
	for _, p := range params {
		name, nameLen := cText(pin, p.name)
		value, valueLen := cText(pin, p.value)
		c.names, c.nameLens = append(c.names, name), append(c.nameLens, nameLen)
		c.values, c.valueLens = append(c.values, value), append(c.valueLens, valueLen)
	}
	if len(params) > 0 {
		pin.Pin(&c.names[0])
		pin.Pin(&c.nameLens[0])
		pin.Pin(&c.values[0])
		pin.Pin(&c.valueLens[0])
		c.pNames, c.pNameLens = unsafe.Pointer(&c.names[0]), unsafe.Pointer(&c.nameLens[0])
		c.pValues, c.pValuesLens = unsafe.Pointer(&c.values[0]), unsafe.Pointer(&c.valueLens[0])
	}
	return c
}

// goText copies a NUL-terminated C string; nil is the empty string.
func goText(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

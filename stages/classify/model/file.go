package model

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// A model's bytes: the magic line; the length of the header; the header, JSON; the number of rows; the
// hashes of the rows, ascending; the rows, a byte per lane, the first of them the square of the
// feature's weight; a CRC-32C of all before it. Numbers are 32 bits, little endian.
const magic = "handoff model 1\n"

// ErrModel marks bytes that are no model of this version.
var ErrModel = errors.New("not a model that this version reads")

// header is what a model's file says before its rows.
type header struct {
	Name        string  `json:"name"`
	SquareScale float32 `json:"square_scale"`
	Unknown     float32 `json:"unknown"`
	Heads       []Head  `json:"heads"`
}

// Row is one feature of a model to be.
type Row struct {
	Hash uint32
	// Lanes: the square of the feature's weight in the model's SquareScale, then a byte per label, 128
	// for nothing.
	Lanes []byte
}

// Parts are what a model is made of.
type Parts struct {
	// Name of the model with its version.
	Name string
	// SquareScale is the square of a feature's weight by step of its row's first lane, Unknown the square
	// that a feature without a row adds.
	SquareScale, Unknown float32
	Heads                []Head
	// Rows, in any order, of different hashes.
	Rows []Row
}

// Encode returns the model's bytes.
func Encode(p Parts) ([]byte, error) {
	slices.SortFunc(p.Rows, func(a, b Row) int {
		if a.Hash < b.Hash {
			return -1
		}
		return 1
	})
	head, err := json.Marshal(header{Name: p.Name, SquareScale: p.SquareScale, Unknown: p.Unknown, Heads: p.Heads})
	if err != nil {
		return nil, fmt.Errorf("encode a model: %w", err)
	}
	out := append([]byte(magic), binary.LittleEndian.AppendUint32(nil, uint32(len(head)))...)
	out = append(out, head...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(p.Rows)))
	for _, r := range p.Rows {
		out = binary.LittleEndian.AppendUint32(out, r.Hash)
	}
	for _, r := range p.Rows {
		out = append(out, r.Lanes...)
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, crc32.MakeTable(crc32.Castagnoli)))
	if _, err := Decode(out); err != nil {
		return nil, fmt.Errorf("encode a model: %w", err)
	}
	return out, nil
}

// Decode reads a model's bytes. The error wraps ErrModel and says what is wrong with them.
func Decode(b []byte) (*Model, error) {
	bad := func(format string, args ...any) (*Model, error) {
		return nil, fmt.Errorf("%w: %s", ErrModel, fmt.Sprintf(format, args...))
	}
	if !bytes.HasPrefix(b, []byte(magic)) {
		return bad("it does not begin with %q", magic[:len(magic)-1])
	}
	if len(b) < len(magic)+12 {
		return bad("it is cut off")
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(b[len(body):]) {
		return bad("its checksum is wrong: it is cut off or damaged")
	}
	rest := body[len(magic):]
	size := binary.LittleEndian.Uint32(rest)
	rest = rest[4:]
	if uint64(size)+4 > uint64(len(rest)) {
		return bad("its header is cut off")
	}
	var h header
	if err := json.Unmarshal(rest[:size], &h); err != nil {
		return bad("its header: %v", err)
	}
	m, err := h.model()
	if err != nil {
		return bad("%v", err)
	}
	rest = rest[size:]
	n := uint64(binary.LittleEndian.Uint32(rest))
	rest = rest[4:]
	if n > MaxRows || n*uint64(4+1+m.lanes) != uint64(len(rest)) {
		return bad("it says %d rows of %d labels and has %d bytes of them", n, m.lanes, len(rest))
	}
	if err := m.fill(rest, int(n)); err != nil {
		return bad("%v", err)
	}
	return m, nil
}

// model makes an empty model of what a header says.
func (h *header) model() (*Model, error) {
	m := &Model{name: h.Name, heads: h.Heads, squareScale: h.SquareScale, unknown: h.Unknown}
	if h.Name == "" || len(h.Heads) == 0 {
		return nil, errors.New("the header has no name or no heads")
	}
	if !finite(h.SquareScale, h.Unknown) || h.SquareScale < 0 || h.Unknown < 0 {
		return nil, errors.New("the header's squares are no numbers above zero")
	}
	for _, head := range h.Heads {
		n := len(head.Labels)
		if n == 0 || len(head.Scale) != n || len(head.Bias) != n {
			return nil, fmt.Errorf("head %q has %d labels, %d scales, %d biases", head.Name, n, len(head.Scale), len(head.Bias))
		}
		if !finite(head.Scale...) || !finite(head.Bias...) || !finite(head.Trust[:]...) || !finite(head.Outside, head.Clear, head.Possible) {
			return nil, fmt.Errorf("head %q has a number that is none", head.Name)
		}
		m.first = append(m.first, m.lanes)
		if m.lanes += n; m.lanes > MaxLanes {
			return nil, fmt.Errorf("more than %d labels", MaxLanes)
		}
	}
	m.stride = (m.lanes + 1 + 7) / 8
	return m, nil
}

// fill reads n hashes and rows.
func (m *Model) fill(b []byte, n int) error {
	m.hashes = make([]uint32, n)
	for i := range m.hashes {
		m.hashes[i] = binary.LittleEndian.Uint32(b[4*i:])
		if i > 0 && m.hashes[i] <= m.hashes[i-1] {
			return fmt.Errorf("row %d is out of order", i)
		}
	}
	b = b[4*n:]
	m.rows = make([]uint64, n*m.stride)
	for i := range n {
		for lane, w := range b[i*(m.lanes+1) : (i+1)*(m.lanes+1)] {
			m.rows[i*m.stride+lane/8] |= uint64(w) << (lane % 8 * 8)
		}
	}
	m.index()
	return nil
}

func finite(all ...float32) bool {
	for _, f := range all {
		if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
			return false
		}
	}
	return true
}

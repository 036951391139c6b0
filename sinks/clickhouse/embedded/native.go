package embedded

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// nativeReader is the buffer size that ch-go's reader adopts instead of adding
// one of its own, so that the place in the input stays known.
const nativeReader = 128 << 10

// raiseRevision appends to dst the Native blocks of chunk, which are written
// at revision 0, as a client of the given revision expects them: with a block
// header before each block, and from revision 54454 on with the
// custom-serialization flag after each column's type. The columns' bytes are
// copied as they are; they are decoded only to find where they end.
func raiseRevision(dst, chunk []byte, revision uint64) ([]byte, error) {
	if revision == 0 {
		return append(dst, chunk...), nil
	}
	src := bytes.NewReader(chunk)
	buffered := bufio.NewReaderSize(src, nativeReader)
	b := blockCopier{
		chunk:    chunk,
		reader:   chproto.NewReader(buffered),
		place:    func() int { return len(chunk) - src.Len() - buffered.Buffered() },
		revision: revision,
		context:  &column.ServerContext{Timezone: time.UTC},
	}
	for b.place() < len(chunk) {
		var err error
		if dst, err = b.block(dst); err != nil {
			return dst, fmt.Errorf("re-encode a Native block for revision %d: %w", revision, err)
		}
	}
	return dst, nil
}

// blockCopier copies blocks from revision 0 to another one.
type blockCopier struct {
	chunk    []byte
	reader   *chproto.Reader
	place    func() int
	revision uint64
	context  *column.ServerContext
}

func (b *blockCopier) block(dst []byte) ([]byte, error) {
	// Block information: field 1, is_overflows, no; field 2, bucket_num, -1;
	// end of fields.
	dst = append(dst, 1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0)
	columns, err := b.reader.UVarInt()
	if err != nil {
		return dst, err
	}
	rows, err := b.reader.UVarInt()
	if err != nil {
		return dst, err
	}
	if rows > 1<<30 {
		return dst, fmt.Errorf("the block claims %d rows", rows)
	}
	dst = binary.AppendUvarint(dst, columns)
	dst = binary.AppendUvarint(dst, rows)
	for range columns {
		if dst, err = b.column(dst, int(rows)); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return dst, err
		}
	}
	return dst, nil
}

func (b *blockCopier) column(dst []byte, rows int) ([]byte, error) {
	name, err := b.reader.Str()
	if err != nil {
		return dst, err
	}
	typ, err := b.reader.Str()
	if err != nil {
		return dst, err
	}
	dst = append(binary.AppendUvarint(dst, uint64(len(name))), name...)
	dst = append(binary.AppendUvarint(dst, uint64(len(typ))), typ...)
	if b.revision >= proto.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION {
		dst = append(dst, 0)
	}
	if rows == 0 {
		return dst, nil
	}
	c, err := column.Type(typ).Column(name, b.context)
	if err != nil {
		return dst, fmt.Errorf("column %q of type %s: %w", name, typ, err)
	}
	start := b.place()
	if prefixed, ok := c.(column.CustomSerialization); ok {
		if err := prefixed.ReadStatePrefix(b.reader); err != nil {
			return dst, fmt.Errorf("column %q of type %s: %w", name, typ, err)
		}
	}
	if err := c.Decode(b.reader, rows); err != nil {
		return dst, fmt.Errorf("column %q of type %s: %w", name, typ, err)
	}
	return append(dst, b.chunk[start:b.place()]...), nil
}

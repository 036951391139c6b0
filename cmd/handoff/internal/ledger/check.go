package ledger

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
)

// ErrDiffers is wrapped by what Check says where changes are not those that are kept.
var ErrDiffers = errors.New("not what is kept")

// Check holds changes of the person, from an earlier export, against what is kept: those that were reduced together
// against the hash, the others each against its line. It returns in words what was found; an error where they are not
// the same, or cannot be compared.
func (p *Person) Check(key []byte, changes []evidence.Change) (string, error) {
	var before []byte
	var own []evidence.Change
	for _, c := range changes {
		if c.Source != reduced {
			own = append(own, c)
			continue
		}
		hash, err := hex.DecodeString(c.Record)
		if err != nil || before != nil && !bytes.Equal(hash, before) {
			return "", fmt.Errorf("%w: the line of change %d holds no hash, or another one than the line before", ErrDiffers, c.Change)
		}
		before = hash
	}
	slices.SortFunc(own, func(a, b evidence.Change) int { return int(int64(a.Change) - int64(b.Change)) })
	gone := 0
	for gone < len(own) && own[gone].Change <= p.Reduced.GetThrough() {
		gone++
	}
	said, err := p.checkGone(key, before, own[:gone])
	if err != nil {
		return "", err
	}
	renumbered, err := p.checkKept(own[gone:])
	if err != nil {
		return "", err
	}
	if n := len(own) - gone - renumbered; n > 0 {
		said = append(said, fmt.Sprintf("%d changes are in the ledger as in the file", n))
	}
	if renumbered > 0 {
		said = append(said, fmt.Sprintf("%d changes are in the ledger as in the file but for their numbers: the ledger was built anew since (handoff reset)", renumbered))
	}
	return strings.Join(said, "; "), nil
}

// checkGone compares changes whose evidence was reduced; before is the hash that those before them were reduced to.
func (p *Person) checkGone(key, before []byte, changes []evidence.Change) ([]string, error) {
	r := p.Reduced
	switch {
	case r == nil && before != nil:
		return nil, fmt.Errorf("%w: the file has a hash of changes, and none were reduced here", ErrDiffers)
	case len(changes) == 0 && before != nil && bytes.Equal(before, r.GetHash()):
		return []string{fmt.Sprintf("the file's hash is the one that is kept for changes up to %d", r.GetThrough())}, nil
	case len(changes) == 0 && before == nil:
		return nil, nil
	case evidence.Fingerprint(key) != r.GetKey():
		return nil, fmt.Errorf("it cannot be checked: the hash was made by key %s, and consent.ledger_key is %s", r.GetKey(), keyWords(key))
	case !bytes.Equal(evidence.Hash(key, before, changes), r.GetHash()):
		return nil, fmt.Errorf("%w: changes up to %d have another hash%s", ErrDiffers, r.GetThrough(), missing(changes, before != nil, r.GetThrough()))
	}
	return []string{fmt.Sprintf("changes %d to %d of the file are what was kept: their hash is hmac-sha256 %x, by key %s", changes[0].Change, r.GetThrough(), r.GetHash(), r.GetKey())}, nil
}

func keyWords(key []byte) string {
	if len(key) == 0 {
		return "not set"
	}
	return "key " + evidence.Fingerprint(key)
}

// missing names changes that a file lacks of those that were reduced together. Where earlier ones had been reduced
// before, nobody knows which was the first.
func missing(changes []evidence.Change, later bool, through uint64) string {
	there, first := map[uint64]bool{}, uint64(1)
	for _, c := range changes {
		there[c.Change] = true
	}
	if later && len(changes) > 0 {
		first = changes[0].Change
	}
	var lacks []string
	for n := first; n <= through && len(lacks) < 10; n++ {
		if !there[n] {
			lacks = append(lacks, strconv.FormatUint(n, 10))
		}
	}
	if len(lacks) == 0 {
		return ""
	}
	return "; the file lacks " + strings.Join(lacks, ", ")
}

// checkKept compares changes with lines that are there, and returns how many have another number. A ledger that was
// built anew counts on from where it was, so that its numbers never come twice.
func (p *Person) checkKept(changes []evidence.Change) (renumbered int, err error) {
	kept, numbers := map[uint64]evidence.Change{}, map[string][]uint64{}
	for _, l := range p.Lines {
		c := evidence.Of(p.Key, l)
		kept[c.Change] = c
		same := withoutNumber(c)
		numbers[same] = append(numbers[same], c.Change)
	}
	for _, c := range changes {
		is, there := kept[c.Change]
		same := withoutNumber(c)
		switch {
		case there && withoutNumber(is) == same:
		case slices.ContainsFunc(numbers[same], func(n uint64) bool { return n > c.Change }):
			renumbered++
		case !there:
			return 0, fmt.Errorf("%w: the ledger has no change %d", ErrDiffers, c.Change)
		default:
			return 0, fmt.Errorf("%w: change %d is another one in the ledger: %s -> %s at %s", ErrDiffers, c.Change, is.Prior, is.Status, moment(is.At))
		}
	}
	return renumbered, nil
}

// withoutNumber is the hash of all that a change says but for its number.
func withoutNumber(c evidence.Change) string {
	c.Change = 0
	return string(evidence.Hash(nil, nil, []evidence.Change{c}))
}

// ReadJSON reads the changes of an address from an export of JSON lines.
func ReadJSON(r io.Reader, of schemas.Key) (changes []evidence.Change, err error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	for n := 1; ; n++ {
		var c evidence.Change
		err := d.Decode(&c)
		if errors.Is(err, io.EOF) {
			return changes, nil
		}
		if err != nil {
			return nil, fmt.Errorf("object %d is no exported change: %w", n, err)
		}
		if c.Shop == of.Shop && c.Address == of.Address {
			changes = append(changes, c)
		}
	}
}

// ReadCSV reads the changes of an address from an export of CSV.
func ReadCSV(r io.Reader, of schemas.Key) (changes []evidence.Change, err error) {
	in := csv.NewReader(r)
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("line 1: the header cannot be read: %w", err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // as spreadsheets write it
	if !slices.Equal(header, columns()) {
		return nil, fmt.Errorf("line 1: it is no export: the columns are %s", strings.Join(columns(), ", "))
	}
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			return changes, nil
		}
		if err != nil {
			return nil, fmt.Errorf("it is no CSV: %w", err)
		}
		c, err := changeOf(fields)
		if err != nil {
			line, _ := in.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if c.Shop == of.Shop && c.Address == of.Address {
			changes = append(changes, c)
		}
	}
}

// changeOf reads a line's fields, in the order of columns.
func changeOf(f []string) (c evidence.Change, err error) {
	var errs [4]error
	c = evidence.Change{
		Shop: f[0], Address: f[1], Scope: f[6], Prior: f[7], Status: f[8], Source: f[9],
		Keyword: formulaAgain(f[10]), Text: formulaAgain(f[11]), By: formulaAgain(f[12]), Conversation: f[13], Record: f[14],
	}
	c.Subscriber, errs[0] = strconv.ParseUint(f[2], 10, 64)
	c.Change, errs[1] = strconv.ParseUint(f[3], 10, 64)
	c.At, errs[2] = time.Parse(time.RFC3339Nano, f[4])
	c.Since, errs[3] = time.Parse(time.RFC3339Nano, f[5])
	return c, errors.Join(errs[:]...)
}

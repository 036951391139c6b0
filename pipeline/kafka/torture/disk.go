package torture

import (
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the machine's file system with traps at writes.
type disk struct {
	vfs.FS
	traps *traps
}

func (d disk) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &trappedFile{File: f, name: filepath.Base(name), traps: d.traps}, nil
}

func (d disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, category)
	return d.wrap(name, f, err)
}

func (d disk) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, category, opts...)
	return d.wrap(name, f, err)
}

func (d disk) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(oldname, newname, category)
	return d.wrap(newname, f, err)
}

func (d disk) Rename(oldname, newname string) error {
	if err := d.traps.step(placeDisk, "rename "+filepath.Base(newname), "", before); err != nil {
		return err
	}
	return d.FS.Rename(oldname, newname)
}

type trappedFile struct {
	vfs.File
	name  string
	traps *traps
}

func (f *trappedFile) Write(p []byte) (int, error) {
	if err := f.traps.step(placeDisk, f.name, "", before); err != nil {
		return 0, err
	}
	// Two writes instead of one, so that there is a moment between them.
	half := len(p) / 2
	n, err := f.File.Write(p[:half])
	if err != nil {
		return n, err
	}
	if err := f.traps.step(placeDisk, f.name, "", during); err != nil {
		return n, err
	}
	m, err := f.File.Write(p[half:])
	if err != nil {
		return n + m, err
	}
	return n + m, f.traps.step(placeDisk, f.name, "", after)
}

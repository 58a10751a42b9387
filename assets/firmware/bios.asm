; bios: the firmware of the PC, 8 KB at the top of the first megabyte.
;
; After a reset the processor fetches its first instruction 16 bytes below
; the top of the address space, where the ROM is seen too. The far jump
; there leads to the start below: it makes an interrupt table and the BIOS
; data area, initialises the devices, and boots the first disk that wants
; to: its first sector goes to 0000:7C00 and is jumped to, DL the drive.
;
; What boots finds the services of a PC/AT behind software interrupts:
;
;       10h video       11h equipment   12h memory      13h disks
;       14h serial      15h system      16h keyboard    17h printer
;       18h no system   19h boot        1Ah time
;
; A service is entered through ENTER_SERVICE, which saves the caller's
; registers on the stack; there it also leaves what it answers.

        cpu     386
        org     0xE000                  ; offset in segment F000h

%include "data.inc"

bios:

%include "start.inc"
%include "boot.inc"
%include "timer.inc"
%include "keyboard.inc"
%include "video.inc"
%include "drives.inc"
%include "disk.inc"
%include "system.inc"
%include "serial.inc"
%include "clock.inc"
%include "faults.inc"

        times   0x1FF0 - ($ - bios) db 0xFF

; The reset vector, FFFF:0000, and what a PC keeps behind it.
        jmp     ROM:start
        db      "11/22/26"              ; the date of this firmware
        db      0xFF
        db      MODEL                   ; at FFFF:000E
        db      0xFF

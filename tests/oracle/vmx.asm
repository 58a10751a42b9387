; vmx.asm: a monitor in VMX root operation that launches one small guest after
; another and tells on port E9h how each was left: by an exit, by an entry that
; failed, or by an instruction that did. vmx.py adds the cases to it:
;
;   name | 64 bytes of the guest's code | fields | memory
;
; a list is a count and pairs of double words: encoding and value, with bit 31 of
; the encoding for "set these bits too", or address and value.

        bits    32
        org     0x00100000

ROOT    equ     0x00200000
REGION  equ     0x00201000
IO_A    equ     0x00202000              ; I/O bitmaps A and B, MSR bitmaps
EPT     equ     0x00206000              ; four levels
TABLES  equ     0x00210000              ; the host's page directory and table
GUEST   equ     0x00212000              ; the guest's
GDT     equ     0x00214000
IDT     equ     0x00215000
TSS     equ     0x00216000
STACK   equ     0x00220000              ; the host's
CODE    equ     0x00008000
GATES   equ     0x0000A000              ; VMCALL at A000h + 8 * vector: where a vector leads
PAGES   equ     1024
TRUE_PIN        equ     0x48D

start:  cli
        mov     esp, STACK
        mov     edi, TABLES
        call    page_tables
        call    system_tables
        lgdt    [gdt_pointer]
        jmp     0x08:.flat
.flat:  mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     fs, ax
        mov     gs, ax
        mov     ss, ax
        mov     ecx, 0x3A
        rdmsr
        test    al, 1
        jnz     .locked
        or      eax, 5
        wrmsr
.locked:
        mov     ecx, 0x480
        rdmsr
        mov     [ROOT], eax
        mov     [REGION], eax
        mov     eax, TABLES
        mov     cr3, eax
        mov     eax, 0x2000
        mov     cr4, eax
        mov     eax, 0x80000031
        mov     cr0, eax
        vmxon   [vmxon_at]
        mov     esi, cases
next:   lodsd
        test    eax, eax
        jz      done
        mov     [name], eax
        mov     edi, CODE
        mov     ecx, 16
        rep movsd
        mov     [place], esi
        mov     edi, IO_A
        mov     ecx, 0x0C00
        xor     eax, eax
        rep stosd
        mov     edi, GUEST
        call    page_tables
        call    ept_tables
        call    system_tables
        mov     dword [REGION + 4], 0
        vmclear [vmcs_at]
        vmptrld [vmcs_at]
        mov     esi, defaults
        call    fields
        mov     ecx, TRUE_PIN
        mov     edi, controls
.ones:  rdmsr
        mov     ebx, [edi]
        vmwrite ebx, eax
        add     edi, 4
        inc     ecx
        cmp     ecx, TRUE_PIN + 4
        jb      .ones
        mov     esi, [place]
        call    fields
        lodsd
        mov     ecx, eax
        jecxz   .ready
.store: lodsd
        mov     ebx, eax
        lodsd
        mov     [ebx], eax
        loop    .store
.ready: mov     [place], esi
        xor     eax, eax
        mov     dr6, eax
        mov     cr2, eax
        xor     ebx, ebx
        xor     ecx, ecx
        xor     edx, edx
        xor     esi, esi
        xor     edi, edi
        xor     ebp, ebp
        vmlaunch
        call    title
        mov     ebx, 0x4400
        call    show
        jmp     again
left:   cld
        call    title
        mov     esi, shown
        call    list
        mov     ebx, 0x4402
        vmread  eax, ebx
        test    eax, eax
        js      again
        mov     esi, state
        call    list
        mov     eax, cr2
        call    long_out
        mov     eax, dr6
        call    long_out
again:  mov     al, 10
        out     0xE9, al
        mov     esi, [place]
        jmp     next
done:   mov     al, '.'
        out     0xE9, al
        mov     al, 10
        out     0xE9, al
        xchg    bx, bx
        hlt

list:   lodsd
        cmp     eax, -1
        je      .end
        mov     ebx, eax
        call    show
        jmp     list
.end:   ret

show:   xor     eax, eax
        vmread  eax, ebx
        jmp     long_out

fields: lodsd
        mov     ecx, eax
        jecxz   .end
.next:  lodsd
        mov     ebx, eax
        lodsd
        btr     ebx, 31
        jnc     .plain
        vmread  edx, ebx
        or      eax, edx
.plain: vmwrite ebx, eax
        loop    .next
.end:   ret

page_tables:                            ; 4 MB, each page at its own address
        lea     eax, [edi + 0x1007]
        mov     [edi], eax
        add     edi, 0x1000
        mov     eax, 7
        mov     ecx, PAGES
.next:  stosd
        add     eax, 0x1000
        loop    .next
        ret

ept_tables:                             ; the same, write-back
        mov     dword [EPT], EPT + 0x1007
        mov     dword [EPT + 0x1000], EPT + 0x2007
        mov     dword [EPT + 0x2000], EPT + 0x3007
        mov     dword [EPT + 0x2008], EPT + 0x4007
        mov     edi, EPT + 0x3000
        mov     eax, 0x37
        xor     edx, edx
        mov     ecx, PAGES
.next:  mov     [edi], eax
        mov     [edi + 4], edx
        add     edi, 8
        add     eax, 0x1000
        loop    .next
        ret

system_tables:
        mov     esi, gdt
        mov     edi, GDT
        mov     ecx, (gdt_end - gdt) / 4
        rep movsd
        mov     edi, TSS
        mov     ecx, 32
        xor     eax, eax
        rep stosd
        mov     dword [TSS + 4], 0x00009F00
        mov     dword [TSS + 8], 0x10
        mov     dword [TSS + 0x64], 0x00680000
        mov     edi, IDT
        mov     ebx, GATES
        mov     ecx, 256
.next:  mov     [edi], bx
        mov     word [edi + 2], 0x08
        mov     dword [edi + 4], 0x0000EE00
        mov     dword [ebx], 0x00C1010F ; VMCALL
        add     edi, 8
        add     ebx, 8
        loop    .next
        ret

title:  mov     eax, [name]
        mov     ecx, 4
.next:  out     0xE9, al
        shr     eax, 8
        loop    .next
        ret

long_out:
        push    eax
        mov     edx, eax
        mov     al, ' '
        out     0xE9, al
        mov     ecx, 8
.next:  rol     edx, 4
        mov     al, dl
        and     al, 15
        cmp     al, 10
        jb      .digit
        add     al, 7
.digit: add     al, '0'
        out     0xE9, al
        loop    .next
        pop     eax
        ret

        align   8
gdt:    dd      0, 0
        dd      0x0000FFFF, 0x00CF9B00  ; 08 code, 10 data, 18 code and 20 data of ring 3
        dd      0x0000FFFF, 0x00CF9300
        dd      0x0000FFFF, 0x00CFFB00
        dd      0x0000FFFF, 0x00CFF300
        dd      0x60000067, 0x00008B21  ; 28 the TSS, 30 one that is free
        dd      0x70000067, 0x00008921
        dd      0x0000FFFF, 0x000F9B00  ; 38 16-bit code
gdt_end:
gdt_pointer:
        dw      gdt_end - gdt - 1
        dd      GDT
vmxon_at:
        dd      ROOT, 0
vmcs_at:
        dd      REGION, 0
name:   dd      0
place:   dd      0
controls:
        dd      0x4000, 0x4002, 0x400C, 0x4012
shown:  dd      0x4402, 0x6400, 0x4404, 0x4406, 0x4408, 0x440A, 0x440C, 0x440E, 0x640A, 0x2400, -1
state:  dd      0x681E, 0x681C, 0x6820, 0x4824, 0x4826, 0x6822, 0x4016, 0x6800, 0x6802, 0x6804
        dd      0x0802, 0x4816, 0x6808, 0x4802, 0x0804, 0x4818, 0x0806, 0x481A, 0x680C, 0x4822, 0x4820
        dd      0x482A, -1
